/** Flags of `tower worker`. */
export interface WorkerOptions {
  readonly role: RoleName;
  readonly gpu?: number;
  readonly embedded?: boolean;
}

export type RoleName = 'control' | 'gpu' | 'all';

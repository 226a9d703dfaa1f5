/** Which ComfyUI is spoken (contract comfyui, "Versions"): A = 0.3.64, B = 0.12.1, N = a later release. */
export type Dialect = 'A' | 'B' | 'N';

export interface DialectFacts {
  /** `comfyui_version`; the part after `+` says that nothing here is real. */
  readonly version: string;
  readonly system: string;
  /** `error.type` for an unknown `class_type`, which from B on also names the node in `extra_info`. */
  readonly unknownNodeError: 'invalid_prompt' | 'missing_node_type';
  readonly canonicalPromptIds: boolean;
  readonly jobs: boolean;
  readonly jobCancel: boolean;
  /** `create_time` in `extra_data`. */
  readonly createTime: boolean;
  /** Choices as `["COMBO", {"options": […]}]` instead of a bare list. */
  readonly comboDeclarations: boolean;
  readonly dependencyCycles: boolean;
  /** `is_input_list` and `search_aliases` in `/object_info`. */
  readonly newerNodeFields: boolean;
}

export const dialects: Readonly<Record<Dialect, DialectFacts>> = {
  A: {
    version: '0.3.64+simulated',
    system: 'posix',
    unknownNodeError: 'invalid_prompt',
    canonicalPromptIds: false,
    jobs: false,
    jobCancel: false,
    createTime: false,
    comboDeclarations: false,
    dependencyCycles: false,
    newerNodeFields: false,
  },
  B: {
    version: '0.12.1+simulated',
    system: 'linux',
    unknownNodeError: 'missing_node_type',
    canonicalPromptIds: false,
    jobs: true,
    jobCancel: false,
    createTime: true,
    comboDeclarations: false,
    dependencyCycles: false,
    newerNodeFields: true,
  },
  N: {
    version: '0.16.0+simulated',
    system: 'linux',
    unknownNodeError: 'missing_node_type',
    canonicalPromptIds: true,
    jobs: true,
    jobCancel: true,
    createTime: true,
    comboDeclarations: true,
    dependencyCycles: true,
    newerNodeFields: true,
  },
};

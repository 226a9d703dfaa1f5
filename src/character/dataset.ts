/** Where the files of one data set lie. */
export interface DatasetPaths {
  readonly folder: string;
  readonly images: string;
  /** Images that the check or a person rejected. */
  readonly rejected: string;
  readonly generationMetadata: string;
  readonly taggingResults: string;
  /** First page; more pages are `contact-sheet-002.jpg`, … */
  readonly contactSheet: string;
}
export declare function datasetPaths(folder: string): DatasetPaths;

/** `<slug>_001.png`; more digits when the data set has 1,000 images or more. */
export declare function imageFileName(slug: string, index: number, count: number): string;

/** Where the files of one character run lie, beside those of its training. */
export interface CharacterRunPaths {
  readonly directory: string;
  readonly reservation: string;
  readonly job: string;
  readonly plan: string;
  readonly journal: string;
  readonly choice: string;
  readonly delivery: string;
  readonly proof: string;
  /** Proof images. */
  readonly proofImages: string;
  readonly outcome: string;
}
export declare function characterRunPaths(directory: string): CharacterRunPaths;

export interface Reservation {
  /** `character_<slug>_v<N>`. */
  readonly run: string;
  readonly number: number;
  readonly runDirectory: string;
  /** Data set's folder. */
  readonly dataset: string;
}

export interface ReserveRequest {
  /** Folder that holds the data sets. */
  readonly datasets: string;
  /** Folder that holds one folder per run. */
  readonly runs: string;
  readonly job: { readonly name: string; readonly outputDir?: string; readonly dataset?: string };
  /** Who reserves: the same owner gets the same reservation again. The workflow id. */
  readonly owner: string;
}

/**
 * Takes the next free number for a run and its data set. Making the folders is the reservation: of two callers with the same
 * name each gets its own, and a repeated call of one owner finds what it had made.
 *
 * @throws TowerError `DATASET_FOLDER_TAKEN` (`outputDir` has files of somebody else), `DATASET_MISSING` (`dataset` is no folder
 * with `images/`), `NO_PERMISSION`, `DISK_FULL`.
 */
export declare function reserveRun(request: ReserveRequest): Promise<Reservation>;

/** The reservation of a run. @throws TowerError `NOT_FOUND` */
export declare function readReservation(runDirectory: string): Promise<Reservation>;

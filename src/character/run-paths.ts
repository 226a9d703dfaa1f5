import { join } from 'node:path';

/** Where the files of one dataset lie. */
export interface DatasetPaths {
  readonly folder: string;
  readonly images: string;
  /** Images that the check or a person rejected. */
  readonly rejected: string;
  readonly generationMetadata: string;
  readonly taggingResults: string;
  /** Every caption that Tower wrote here, whichever run did, and those of reviews: what it does not know is a person's. */
  readonly captionJournal: string;
  /** By which number a person calls which image. */
  readonly numbers: string;
  /** First page; more pages are `contact-sheet-002.jpg`, … */
  readonly contactSheet: string;
  /** Says which run the folder was made for. */
  readonly mark: string;
}

export function datasetPaths(folder: string): DatasetPaths {
  return {
    folder,
    images: join(folder, 'images'),
    rejected: join(folder, 'rejected'),
    generationMetadata: join(folder, 'generation_metadata.json'),
    taggingResults: join(folder, 'tagging_results.json'),
    captionJournal: join(folder, 'tower-captions.jsonl'),
    numbers: join(folder, 'tower-numbers.json'),
    contactSheet: join(folder, 'contact-sheet.jpg'),
    mark: join(folder, '.tower.json'),
  };
}

/** `<slug>_001.png`; more digits when the dataset has 1,000 images or more. */
export function imageFileName(slug: string, index: number, count: number): string {
  return `${slug}_${String(index).padStart(Math.max(3, String(count).length), '0')}.png`;
}

/** Where the files of one character run lie, beside those of its training. */
export interface CharacterRunPaths {
  readonly directory: string;
  readonly reservation: string;
  readonly job: string;
  readonly plan: string;
  readonly journal: string;
  /** A person's approval of the dataset. */
  readonly approval: string;
  readonly choice: string;
  readonly delivery: string;
  readonly proof: string;
  readonly proofImages: string;
  readonly outcome: string;
}

export function characterRunPaths(directory: string): CharacterRunPaths {
  return {
    directory,
    reservation: join(directory, 'reservation.json'),
    job: join(directory, 'job.json'),
    plan: join(directory, 'plan.json'),
    journal: join(directory, 'images.jsonl'),
    approval: join(directory, 'approval.json'),
    choice: join(directory, 'choice.json'),
    delivery: join(directory, 'delivery.json'),
    proof: join(directory, 'proof.json'),
    proofImages: join(directory, 'proof'),
    outcome: join(directory, 'outcome.json'),
  };
}

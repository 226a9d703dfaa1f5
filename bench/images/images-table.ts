import { tableText } from '../../src/cli/table.js';
import { figureRow } from '../verdict.js';
import type { ImagesVerdict } from './images-benchmark.js';

export function imagesTables({ size, seconds, memory, written, figures }: ImagesVerdict): string[] {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const kibibytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
  return [
    tableText(
      [`${size} IMAGES IN ONE RUN, ${seconds.toFixed(0)} s`, 'SECOND QUARTER', 'LAST QUARTER'],
      [
        ['resident memory of the worker', mebibytes(memory.second), mebibytes(memory.last)],
        ['written for each image', kibibytes(written.second), kibibytes(written.last)],
      ],
    ),
    tableText(['IMAGES', 'FOUND', 'LIMIT', ''], figures.map(figureRow)),
  ];
}

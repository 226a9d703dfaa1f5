import { tableText } from '../../src/cli/table.js';
import { figureRow } from '../verdict.js';
import type { RenderSideReport, RenderVerdict } from './render-benchmark.js';

/** Tower against its limits, and all sides beside each other. */
export function renderTable({ benchmark, size, renderMs, figures, sides }: RenderVerdict): string[] {
  return [
    tableText(
      [
        `${benchmark.toUpperCase()} ${size} images of ${renderMs} ms`,
        'IDLE p50',
        'p99',
        'LONGEST',
        'BUSY',
        'AT 2 s',
        'REQUESTS',
        'QUEUED',
        'GOT',
      ],
      sides.map(row),
    ),
    tableText(['TOWER', 'FOUND', 'LIMIT', ''], figures.map(figureRow)),
    ...sides.flatMap(({ side, failure }) => (failure === null ? [] : [`${side} failed: ${failure}`])),
  ];
}

function row({ side, gaps, busy, busyAt2s, calls, downloads, deepestQueue, delivered }: RenderSideReport): string[] {
  const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  return [
    ...[side, ms(gaps.median), ms(gaps.p99), ms(gaps.longest), percent(busy), percent(busyAt2s)],
    ...[`${calls.toFixed(2)} + ${downloads.toFixed(2)}`, String(deepestQueue), String(delivered)],
  ];
}

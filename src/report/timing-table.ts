import { spanText, timeText } from './format.js';
import { html, type Html } from './html.js';

/** What happened when, in order of time; what has no time did not happen. ISO 8601 UTC. */
export function timingTable(moments: readonly (readonly [what: string, time: string | null | undefined])[]): Html {
  const known = moments
    .flatMap(([what, time]) => (typeof time === 'string' ? [{ what, time }] : []))
    .sort((one, other) => Date.parse(one.time) - Date.parse(other.time));
  return html`<table>
    <tr>
      <th>What</th>
      <th>When</th>
      <th class="number">After the one before</th>
    </tr>
    ${known.map(
      ({ what, time }, index) =>
        html`<tr>
          <td>${what}</td>
          <td class="time">${timeText(time)}</td>
          <td class="number">${spanText(known[index - 1]?.time ?? null, time)}</td>
        </tr>`,
    )}
  </table>`;
}

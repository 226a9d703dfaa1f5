import type { CharacterReport } from './character-report.js';
import { timeText } from './format.js';
import { html, type Html } from './html.js';

/** What people have decided about the contact sheet. */
export function reviewSection({ review }: CharacterReport): Html | undefined {
  if (review === null) return undefined;
  const { approvedAt, by, rejected, edited } = review;
  const decisions = [
    ...rejected.map(({ index, at, reason, again }) => ({
      ...{ at, what: `image ${index} rejected, ${again ? 'to be rendered again' : 'not to be trained with'}` },
      who: reason,
    })),
    ...edited.map(({ image, at, by: editor }) => ({ at, what: `caption of ${image} edited`, who: editor ?? '–' })),
  ].sort((one, other) => one.at.localeCompare(other.at));
  return html`<section>
    <h2>Review</h2>
    <p>
      ${approvedAt === null ? 'Nobody has approved the images.' : `Approved by ${by ?? 'a person who gave no name'}, ${timeText(approvedAt)}.`}
    </p>
    ${
      decisions.length === 0
        ? html`<p class="soft">No image was rejected, and no caption edited.</p>`
        : html`<table>
            <tr>
              <th>When</th>
              <th>Decision</th>
              <th>Who, and why</th>
            </tr>
            ${decisions.map(
              ({ at, what, who }) =>
                html`<tr>
                  <td class="time">${timeText(at)}</td>
                  <td>${what}</td>
                  <td>${who}</td>
                </tr>`,
            )}
          </table>`
    }
  </section>`;
}

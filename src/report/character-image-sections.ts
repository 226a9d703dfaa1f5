import { shownImages, shownRejects, type Pictures } from './character-pictures.js';
import type { CharacterReport, ReportedImage, ReportedReject } from './character-report.js';
import { countText } from './format.js';
import { html, type Html } from './html.js';

/** The dataset: each image with its number and its caption. */
export function imagesSection({ images, missing, dataset }: CharacterReport, pictures: Pictures): Html {
  return html`<section class="long">
    <h2>Images</h2>
    ${
      images.length === 0
        ? html`<p class="soft">There is no image in the dataset.</p>`
        : html`<div class="sheet">${images.slice(0, shownImages).map((image) => imageFigure(image, pictures))}</div>`
    }
    ${
      images.length > shownImages
        ? html`<p class="soft after">
            And ${countText(images.length - shownImages)} more, on the contact sheets in the dataset's folder.
          </p>`
        : null
    }
    ${
      missing.length === 0
        ? null
        : html`<h3>Planned, but not in the dataset</h3>
            <table>
              <tr>
                <th class="number">Image</th>
                <th>Last reason</th>
              </tr>
              ${missing.slice(0, shownImages).map(
                ({ index, reason }) =>
                  html`<tr>
                    <td class="number">${index}</td>
                    <td>${reason}</td>
                  </tr>`,
              )}
            </table>`
    }
    <p class="soft after">Dataset: <code>${dataset}</code></p>
  </section>`;
}

function imageFigure({ path, index, caption, edited, seed, attempt }: ReportedImage, pictures: Pictures): Html {
  return html`<figure>
    ${picture(pictures, path, index === null ? path.replace(/^.*\//, '') : `image ${index}`)}
    <figcaption>
      <b>${index ?? '–'}</b>${edited ? html`<span class="badge">edited</span> ` : null}${caption ?? 'no caption'}
      ${seed === null ? null : html`<br />seed ${seed}${(attempt ?? 1) > 1 ? `, try ${attempt ?? 1}` : ''}`}
    </figcaption>
  </figure>`;
}

/** Images that were not taken, each with the reason. */
export function rejectsSection({ rejected }: CharacterReport, pictures: Pictures): Html | undefined {
  if (rejected.length === 0) return undefined;
  return html`<section class="long">
    <h2>Rejected images</h2>
    <div class="sheet rejects">${rejected.slice(0, shownRejects).map((reject) => rejectFigure(reject, pictures))}</div>
    ${
      rejected.length > shownRejects
        ? html`<p class="soft after">
            And ${countText(rejected.length - shownRejects)} more, in generation_metadata.json.
          </p>`
        : null
    }
  </section>`;
}

function rejectFigure({ path, index, code, reason, seed, attempt }: ReportedReject, pictures: Pictures): Html {
  return html`<figure>
    ${picture(pictures, path, `image ${index}, try ${attempt}`)}
    <figcaption>
      <b>${index}</b>try ${attempt}, seed ${seed}
      <span class="why"><b>${code}</b>${reason}</span>
    </figcaption>
  </figure>`;
}

function picture(pictures: Pictures, path: string | null, name: string): Html {
  const uri = path === null ? undefined : pictures.get(path);
  if (uri === undefined) return html`<div class="picture gone">no picture</div>`;
  return html`<img class="picture" loading="lazy" src="${uri}" alt="${name}" />`;
}

/** How often each value of each axis was planned, and how often it is in the dataset. */
export function coverageSection({ coverage, job }: CharacterReport): Html | undefined {
  if (coverage.length === 0) return undefined;
  return html`<section>
    <h2>Coverage</h2>
    <p class="soft">
      ${countText(job.count)} images planned from seed ${job.seed}. Bars show what is in the dataset of what was
      planned.
    </p>
    <div class="axes">
      ${coverage.map(
        ({ planned, accepted }) =>
          html`<div>
            <h3>${planned.axis}</h3>
            <div class="cover">
              ${planned.values.map(({ value, count }, index) => coverRow(value, count, accepted.values[index]?.count ?? 0))}
              ${planned.without === 0 ? null : coverRow('no face seen', planned.without, accepted.without)}
            </div>
          </div>`,
      )}
    </div>
  </section>`;
}

function coverRow(value: string, planned: number, accepted: number): Html {
  const share = planned === 0 ? 0 : Math.min(100, Math.round((100 * accepted) / planned));
  return html`<div>${value}</div>
    <i><b style="width: ${share}%"></b></i>
    <span class="${accepted < planned ? 'short' : ''}"
      >${accepted}${accepted === planned ? '' : ` / ${planned}`}</span
    >`;
}

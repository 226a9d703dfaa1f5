import { html, type Html } from './html.js';
import { style } from './style.js';

export interface Page {
  readonly title: string;
  /** Of the page's own, beside the common one. */
  readonly style?: Html;
  /** Line above the heading, heading, and what stands below it. */
  readonly header: Html;
  /** What of it is simulated; absent: nothing. */
  readonly simulated?: string | undefined;
  /** The figures on top, see {@link figure}. */
  readonly figures: readonly Html[];
  readonly sections: readonly (Html | undefined)[];
  /** From what it was made, as the last words of the footer. */
  readonly source: string;
  readonly towerVersion: string;
}

/** One self-contained page: no scripts, nothing fetched. The same report gives the same page. */
export function renderPage(page: Page): string {
  const { title, header, simulated, figures, sections, source, towerVersion } = page;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${style} ${page.style}
        </style>
      </head>
      <body>
        <main>
          <header>
            ${header} ${simulated === undefined ? null : html`<div class="simulated">simulated: ${simulated}</div>`}
          </header>
          <div class="figures">${figures}</div>
          ${sections}
          <footer>Written by Tower ${towerVersion} from ${source}.</footer>
        </main>
      </body>
    </html> `.markup;
}

export function figure(value: string, what: string): Html {
  return html`<div class="figure"><b>${value}</b><span>${what}</span></div>`;
}

import { Html } from './html.js';

/** What a character's page needs beside the common style. */
export const characterStyle = new Html(`
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(176px, 1fr)); gap: 14px; }
.sheet figure { margin: 0; break-inside: avoid; }
.picture { width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--page); border: 1px solid var(--line); border-radius: 8px; display: block; }
.gone { display: flex; align-items: center; justify-content: center; color: var(--soft); font-size: 12.5px; text-align: center; padding: 10px; }
.sheet figcaption { font-size: 12px; line-height: 1.4; margin-top: 5px; overflow-wrap: anywhere; color: var(--soft); }
.sheet figcaption b { color: var(--text); margin-right: 5px; } .sheet .badge { color: var(--second); font-weight: 600; }
.rejects .picture { border-color: var(--bad); } .rejects figcaption .why { color: var(--bad); display: block; }
.axes { display: grid; grid-template-columns: repeat(auto-fit, minmax(265px, 1fr)); gap: 6px 30px; }
.axes h3 { margin-top: 12px; }
.cover { display: grid; grid-template-columns: minmax(0, 1fr) 74px 40px; gap: 2px 10px; font-size: 12.5px; align-items: center; }
.cover i { display: block; height: 7px; border-radius: 4px; background: var(--line); position: relative; overflow: hidden; }
.cover i b { position: absolute; inset: 0 auto 0 0; background: var(--accent); border-radius: 4px; }
.cover span { text-align: right; font-variant-numeric: tabular-nums; color: var(--soft); }
.cover .short { color: var(--bad); font-weight: 600; }
.proof { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 420px)); gap: 18px; margin: 6px 0 14px; }
.proof figure { margin: 0; } .proof figcaption { font-size: 13px; color: var(--soft); margin-top: 5px; }
details { margin-top: 16px; } summary { cursor: pointer; color: var(--soft); font-size: 13.5px; }
details pre { font: 12px/1.5 ui-monospace, "SF Mono", Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 8px 0 0; }
.samples { display: flex; gap: 6px; } .samples img { width: 84px; height: 84px; object-fit: contain; border-radius: 6px; border: 1px solid var(--line); }
tr.chosen td { background: color-mix(in srgb, var(--accent) 10%, transparent); font-weight: 600; } tr.chosen td:first-child { box-shadow: inset 3px 0 var(--accent); padding-left: 10px; }
.chart .band { fill: var(--second); opacity: 0.13; } .chart .epoch { fill: none; stroke: var(--second); stroke-width: 2; }
.chart .epoch-dot { fill: var(--second); } .chart .epoch-chosen { fill: var(--accent); stroke: var(--card); stroke-width: 2.5; }
.chart .chosen-line { stroke: var(--accent); stroke-dasharray: 3 4; }
`);

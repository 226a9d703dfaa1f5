import { Html } from './html.js';

/** The page's style: light and dark by the reader's preference, light on paper. */
export const style = new Html(`
:root { color-scheme: light dark; --text: #1b2330; --soft: #5c6778; --line: #e2e6ec; --page: #f6f7f9; --card: #fff;
  --accent: #2c5cc5; --good: #1a7f4b; --bad: #b3372f; --warn: #96610a; --warn-back: #fdf3dc; --second: #c2571a; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ef; --soft: #98a3b3; --line: #2d3541; --page: #12161c;
  --card: #1a2029; --accent: #7ea6ff; --good: #5fc38d; --bad: #f08a80; --warn: #e8b95a; --warn-back: #33290f; --second: #f0975c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 36px 24px 60px; }
header h1 { margin: 0; font-size: 27px; letter-spacing: -0.01em; line-height: 1.25; }
header .over { margin: 0 0 4px; color: var(--soft); font-size: 13px; }
header .why { margin: 10px 0 0; font-size: 16px; }
.pill { display: inline-block; padding: 2px 11px; border-radius: 99px; border: 1px solid currentColor; font-size: 13px;
  font-weight: 600; vertical-align: 4px; margin-left: 8px; letter-spacing: 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.simulated { margin-top: 18px; padding: 10px 14px; border-radius: 8px; background: var(--warn-back); color: var(--warn); font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 12px; margin: 24px 0 0; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px; }
.figure b { display: block; white-space: nowrap; font-size: 19px; letter-spacing: -0.02em; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.3; }
.figure span { color: var(--soft); font-size: 13px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 22px 20px; margin-top: 18px; }
h2 { font-size: 17px; margin: 0 0 12px; } h3 { font-size: 14px; margin: 20px 0 6px; color: var(--soft); font-weight: 600; }
p { margin: 0 0 10px; } .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 12.5px; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name, td.time { white-space: nowrap; } td.why { min-width: 190px; } td.batch { min-width: 235px; }
.after { margin-top: 14px; }
code { font: 12.5px/1.5 ui-monospace, "SF Mono", Consolas, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(120px, max-content) 1fr; gap: 5px 22px; margin: 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.chart { width: 100%; height: auto; display: block; margin: 6px 0; font-family: inherit; }
.chart .grid { stroke: var(--line); } .chart .axis { fill: var(--soft); font-size: 12px; } .chart .label { fill: var(--text); font-size: 13px; }
.chart path { fill: none; stroke-linejoin: round; } .chart .raw { stroke: var(--accent); stroke-width: 1.8; }
.chart .raw.faint { opacity: 0.3; stroke-width: 1; } .chart .smooth { stroke: var(--accent); stroke-width: 2.4; }
.chart .held-out { fill: var(--second); stroke: var(--card); stroke-width: 2; }
.chart .resume { stroke: var(--soft); stroke-dasharray: 4 4; }
.chart .interval line { stroke: var(--soft); stroke-width: 1.8; } .chart .interval circle { fill: var(--soft); }
.chart .emphasis line { stroke: var(--accent); } .chart .emphasis circle { fill: var(--accent); } .chart .emphasis .label { font-weight: 650; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 16px; height: 3px; vertical-align: 4px; margin-right: 6px; background: var(--accent); }
.legend .dot { width: 9px; height: 9px; border-radius: 9px; background: var(--second); vertical-align: 0; }
.legend .dash { background: none; border-top: 2px dashed var(--soft); vertical-align: 2px; height: 0; }
footer { margin-top: 22px; color: var(--soft); font-size: 12.5px; }
@media print { :root { color-scheme: light; --text: #1b2330; --soft: #5c6778; --line: #d5dae2; --page: #fff; --card: #fff; --accent: #2c5cc5;
  --good: #1a7f4b; --bad: #b3372f; --warn: #96610a; --warn-back: #fdf3dc; --second: #c2571a; }
  main { padding: 0; max-width: none; } section, .figure { break-inside: avoid; } .long { break-inside: auto; } tr { break-inside: avoid; }
  @page { margin: 16mm; } }
`);

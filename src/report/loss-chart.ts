import { niceAxis, type Axis } from './axis.js';
import { html, type Html } from './html.js';

export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

export interface LossCurve {
  /** Of the kept steps, ascending. */
  readonly training: readonly LossPoint[];
  readonly heldOut: readonly LossPoint[];
  /** Steps after which another start of the trainer went on. */
  readonly resumedAfter: readonly number[];
}

const width = 860;
const height = 300;
const margin = { left: 56, right: 16, top: 14, bottom: 40 };
/** A line needs no more points than the page has pixels. */
const drawnPoints = 800;
const smoothedFrom = 30;

/** The loss over the steps of a training as SVG; colours are those of the page. */
export function lossChart({ training, heldOut, resumedAfter }: LossCurve): Html {
  const all = [...training, ...heldOut];
  const x = niceAxis([0, ...all.map(({ step }) => step)], 8);
  const y = niceAxis(all.map(({ loss }) => loss));
  const last = Math.max(...all.map(({ step }) => step));
  const place = placer({ ...x, to: last }, y);
  const drawn = thinned(training);
  const isSmoothed = training.length >= smoothedFrom;
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Loss over optimiser steps">
    ${y.ticks.map((tick) => gridLine(place.y(tick), tick))}
    ${x.ticks.filter((tick) => tick <= last).map((tick) => xTick(place.x(tick), tick))}
    ${resumedAfter.map((step) => resumeLine(place.x(step), step))}
    <path class="raw ${isSmoothed ? 'faint' : ''}" d="${pathOf(drawn, place)}" />
    ${isSmoothed ? html`<path class="smooth" d="${pathOf(thinned(smoothed(training)), place)}" />` : null}
    ${heldOut.map((point) => heldOutDot(place, point))}
    <text class="axis" x="${(margin.left + width - margin.right) / 2}" y="${height - 6}" text-anchor="middle">
      optimiser step
    </text>
  </svg>`;
}

interface Placer {
  x(step: number): number;
  y(loss: number): number;
}

function placer(x: Axis, y: Axis): Placer {
  const across = (width - margin.left - margin.right) / (x.to - x.from || 1);
  const up = (height - margin.top - margin.bottom) / (y.to - y.from);
  return {
    x: (step) => Number((margin.left + (step - x.from) * across).toFixed(1)),
    y: (loss) => Number((height - margin.bottom - (loss - y.from) * up).toFixed(1)),
  };
}

function gridLine(at: number, tick: number): Html {
  return html`<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}" />
    <text class="axis" x="${margin.left - 8}" y="${at + 4}" text-anchor="end">${tick}</text>`;
}

function xTick(at: number, tick: number): Html {
  return html`<text class="axis" x="${at}" y="${height - margin.bottom + 18}" text-anchor="middle">${tick}</text>`;
}

function resumeLine(at: number, step: number): Html {
  return html`<line class="resume" x1="${at}" x2="${at}" y1="${margin.top}" y2="${height - margin.bottom}">
    <title>went on after step ${step}</title>
  </line>`;
}

function heldOutDot(place: Placer, { step, loss }: LossPoint): Html {
  return html`<circle class="held-out" cx="${place.x(step)}" cy="${place.y(loss)}" r="5">
    <title>held out, after step ${step}: ${loss.toFixed(4)}</title>
  </circle>`;
}

function pathOf(points: readonly LossPoint[], place: Placer): string {
  return points.map(({ step, loss }, index) => `${index === 0 ? 'M' : 'L'}${place.x(step)} ${place.y(loss)}`).join('');
}

function thinned(points: readonly LossPoint[]): readonly LossPoint[] {
  const stride = Math.ceil(points.length / drawnPoints);
  return points.filter((_, index) => index % stride === 0 || index === points.length - 1);
}

/** Exponential moving average over about a twentieth of the training, without the bias of its start. */
function smoothed(points: readonly LossPoint[]): LossPoint[] {
  const keep = 1 - 1 / Math.max(5, points.length / 20);
  let sum = 0;
  let weight = 0;
  return points.map(({ step, loss }) => {
    sum = keep * sum + (1 - keep) * loss;
    weight = keep * weight + (1 - keep);
    return { step, loss: sum / weight };
  });
}

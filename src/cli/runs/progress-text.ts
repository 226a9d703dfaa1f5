import { styleText } from 'node:util';

import { shortIdOf } from '../character/character-id.js';
import { reviewStage } from '../character/waiting-stages.js';
import type { ActivityProgress } from './activity-progress.js';
import { agoText, durationText } from '../durations.js';
import type { ActivitySnapshot, WorkflowSnapshot } from './workflow-snapshot.js';

const barWidth = 24;

/** One line for one workflow: what it does now, how far it is and how long it may take. */
export function snapshotLine(snapshot: WorkflowSnapshot): string {
  const facts = snapshot.activities.map((activity) => activityText(activity, new Date(snapshot.time)));
  return [headOf(snapshot), ...facts].join('  ');
}

/** The same with a bar for each activity that knows how much there is to do; several lines. */
export function snapshotBars(snapshot: WorkflowSnapshot): string {
  const now = new Date(snapshot.time);
  const age = styleText('dim', `since ${durationText(now.getTime() - Date.parse(snapshot.startedAt))}`, stderr);
  const bars = snapshot.activities.map((activity) => `  ${barOf(activity.progress)}${activityText(activity, now)}`);
  return [`${headOf(snapshot)}  ${age}`, ...bars].join('\n');
}

const stderr = { stream: process.stderr };

function headOf({ workflowId, status, stage, simulated }: WorkflowSnapshot): string {
  const isOpen = status === 'running' || status === 'paused';
  const decision = `waits for your decision about its contact sheet, which \`tower status\` names: \`tower character approve ${shortIdOf(workflowId)}\``;
  const standing = isOpen ? (stage === reviewStage ? `${stage}: ${decision}` : (stage ?? status)) : status;
  return [workflowId, standing, ...(simulated ? ['[simulated]'] : [])].join('  ');
}

function activityText(activity: ActivitySnapshot, now: Date): string {
  const waiting = activity.state === 'waiting' ? waitText(activity, now) : undefined;
  const attempt = activity.attempt > 1 && waiting === undefined ? [`attempt ${activity.attempt}`] : [];
  const state = activity.state === 'running' ? [] : [activity.state];
  const facts = waiting === undefined ? [...state, ...attempt, ...progressFacts(activity.progress)] : [waiting];
  return facts.length === 0 ? activity.activity : `${activity.activity}: ${facts.join(', ')}`;
}

function waitText({ since, lastFailure, nextAttemptAt }: ActivitySnapshot, now: Date): string {
  if (lastFailure === null) return since === null ? 'waiting' : `waiting for a worker, ${agoText(since, now)}`;
  const again =
    nextAttemptAt === null || Date.parse(nextAttemptAt) <= now.getTime() ? 'now' : agoText(nextAttemptAt, now);
  return `waiting, again ${again}: ${lastFailure.message} [${lastFailure.code}]`;
}

function progressFacts(progress: ActivityProgress | null): string[] {
  if (progress === null) return [];
  return [
    progress.stage,
    progress.waitsFor === null ? null : `${progress.waitsFor.message} [${progress.waitsFor.code}]`,
    amountText(progress),
    progress.rejected === null ? null : `${progress.rejected} rejected`,
    progress.item,
    progress.loss === null ? null : `loss ${progress.loss.toFixed(4)}`,
    rateText(progress),
    progress.etaSeconds === null ? null : `${durationText(progress.etaSeconds * 1_000)} left`,
    progress.adopted ? 'adopted' : null,
  ].filter((fact) => fact !== null);
}

function rateText({ tokensPerSecond, stepsPerSecond, secondsPerImage }: ActivityProgress): string | null {
  if (tokensPerSecond !== null) return `${Math.round(tokensPerSecond)} tokens/s`;
  if (stepsPerSecond !== null) return `${rounded(stepsPerSecond)} steps/s`;
  return secondsPerImage === null ? null : `${rounded(secondsPerImage)} s/image`;
}

/** Two digits that count, never as a power of ten. */
function rounded(value: number): number {
  return Number(value.toPrecision(2));
}

function amountText({ done, total, unit }: ActivityProgress): string | null {
  if (done === null || unit === null) return null;
  const number = (value: number) => (unit === 'bytes' ? `${(value / 1e6).toFixed(1)} MB` : String(value));
  if (total === null) return unit === 'bytes' ? number(done) : `${done} ${unit}`;
  const share = `${Math.floor((100 * done) / total)} %`;
  return `${number(done)} of ${number(total)}${unit === 'bytes' ? '' : ` ${unit}`} (${share})`;
}

function barOf(progress: ActivityProgress | null): string {
  if (progress?.done == null || progress.total == null) return '';
  const filled = Math.min(barWidth, Math.round((barWidth * progress.done) / progress.total));
  return `${styleText('green', '█'.repeat(filled), stderr)}${'░'.repeat(barWidth - filled)} `;
}

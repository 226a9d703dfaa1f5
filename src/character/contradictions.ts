import type { Attributes, Axis } from './vocabulary.js';

/** Values that do not go together in one image. */
export interface Contradiction {
  /** An image is excluded when every axis named here has one of its values. */
  readonly values: Partial<Readonly<Record<Axis, readonly string[]>>>;
  readonly because: string;
}

export const contradictions: readonly Contradiction[] = [
  {
    values: { pose: ['profile view'], angle: ['front view', 'back view', 'three-quarter view'] },
    because: 'the pose and the angle name two directions',
  },
  {
    values: { pose: ['three-quarter view'], angle: ['front view', 'side view', 'back view'] },
    because: 'the pose and the angle name two directions',
  },
  {
    values: { pose: ['three-quarter view'], angle: ['three-quarter view'] },
    because: 'the pose and the angle are the same words, so the image would have one attribute less',
  },
  {
    values: { pose: ['looking back over shoulder'], angle: ['front view'] },
    because: 'who looks back over the shoulder is seen from behind or from the side',
  },
  {
    values: {
      pose: [
        'standing confidently',
        'sitting casually',
        'walking forward',
        'arms crossed',
        'hands on hips',
        'reaching up',
        'leaning against wall',
        'kneeling',
        'running',
        'jumping',
        'dancing',
        'fighting stance',
        'dynamic action pose',
      ],
      angle: ['close-up portrait'],
    },
    because: 'a close-up shows the face, not what arms and legs do',
  },
  {
    values: { pose: ['walking forward', 'kneeling', 'running', 'jumping', 'dancing'], angle: ['upper body shot'] },
    because: 'the legs are out of the picture',
  },
  {
    values: { pose: ['kneeling', 'jumping'], angle: ['cowboy shot'] },
    because: 'a cowboy shot ends at the thighs',
  },
  {
    values: {
      lighting: ['studio lighting'],
      background: ['outdoor setting', 'urban environment', 'natural environment'],
    },
    because: 'studio light belongs indoors',
  },
  {
    values: { lighting: ['golden hour lighting'], background: ['indoor setting', 'white background'] },
    because: 'the golden hour is light of the low sun, outdoors',
  },
  {
    values: {
      pose: ['leaning against wall'],
      background: ['natural environment', 'white background', 'gradient background', 'abstract background'],
    },
    because: 'there is no wall',
  },
];

/** From behind no face is seen, unless the character looks back; then prompt and caption name no expression. */
export const faceHidden = { angle: 'back view', unlessPose: 'looking back over shoulder' } as const;

/** Whether the expression can be seen. */
export function showsFace({ pose, angle }: Pick<Attributes, 'pose' | 'angle'>): boolean {
  return angle !== faceHidden.angle || pose === faceHidden.unlessPose;
}

const compiled = contradictions.map((rule) => ({
  rule,
  conditions: Object.entries(rule.values).map(([axis, values]) => ({ axis: axis as Axis, values: new Set(values) })),
}));

/** The rules that the attributes break. */
export function contradictionsIn(attributes: Attributes): Contradiction[] {
  return compiled
    .filter(({ conditions }) => conditions.every(({ axis, values }) => values.has(attributes[axis] ?? '')))
    .map(({ rule }) => rule);
}

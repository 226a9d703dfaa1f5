/** The values that an image's prompt is made of (contract lora-pipeline.md, section 3). */
export const vocabulary = {
  pose: [
    'standing confidently',
    'sitting casually',
    'walking forward',
    'looking back over shoulder',
    'arms crossed',
    'hands on hips',
    'reaching up',
    'leaning against wall',
    'kneeling',
    'running',
    'jumping',
    'dancing',
    'fighting stance',
    'relaxed pose',
    'dynamic action pose',
    'profile view',
    'three-quarter view',
  ],
  expression: [
    'neutral expression',
    'smiling warmly',
    'serious expression',
    'determined look',
    'laughing happily',
    'surprised expression',
    'thoughtful expression',
    'confident smirk',
    'focused gaze',
    'gentle smile',
    'intense stare',
    'playful expression',
  ],
  angle: [
    'front view',
    'side view',
    'back view',
    'three-quarter view',
    'slightly from below',
    'slightly from above',
    'close-up portrait',
    'full body shot',
    'upper body shot',
    'cowboy shot',
  ],
  lighting: [
    'dramatic lighting',
    'soft lighting',
    'natural lighting',
    'studio lighting',
    'golden hour lighting',
    'rim lighting',
    'high contrast',
    'even lighting',
  ],
  background: [
    'simple background',
    'white background',
    'gradient background',
    'indoor setting',
    'outdoor setting',
    'urban environment',
    'natural environment',
    'abstract background',
    'blurred background',
  ],
} as const;

/** In the order in which they stand in prompts and captions. */
export const axes = ['pose', 'expression', 'angle', 'lighting', 'background'] as const;
export type Axis = (typeof axes)[number];

/** What one image shows. `expression` is `null` where no face is seen. */
export interface Attributes {
  readonly pose: string;
  readonly expression: string | null;
  readonly angle: string;
  readonly lighting: string;
  readonly background: string;
}

export const promptQuality = ['high quality', 'detailed', 'masterpiece', 'best quality'] as const;
export const captionQuality = ['high quality', 'detailed', 'best quality'] as const;

/** The contract's list without its repeat. */
export const negativeTerms = [
  'low quality',
  'bad anatomy',
  'bad hands',
  'text',
  'error',
  'missing fingers',
  'extra digit',
  'fewer digits',
  'cropped',
  'worst quality',
  'normal quality',
  'jpeg artifacts',
  'signature',
  'watermark',
  'username',
  'blurry',
  'bad proportions',
  'cloned face',
  'disfigured',
  'gross proportions',
  'malformed limbs',
  'extra arms',
  'extra legs',
  'fused fingers',
  'too many fingers',
  'long neck',
] as const;

/** Flags of the acceptance run, as commander gives them. */
export interface AcceptanceOptions {
  readonly comfyui: string;
  readonly sdScripts: string;
  readonly checkpoint?: string;
  readonly python?: string;
  readonly comfyuiPython?: string;
  readonly comfyuiDirectory?: string;
  readonly images: number;
  readonly size: number;
  readonly steps: number;
  readonly with?: readonly string[];
  /** Of the configuration (`gpu.nvidiaSmi`); `none`: both programs run on the CPU. */
  readonly nvidiaSmi: string;
  readonly home?: string;
  readonly timeout: number;
  readonly json?: boolean;
}

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execa } from 'execa';

export interface TinyWheel {
  readonly name: string;
  readonly version: string;
  /** Source of the package's `__init__.py`. */
  readonly source: string;
}

const script = `
import sys, zipfile
path, name, version, source = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr(f"{name}/__init__.py", source)
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

/** Writes a real, installable wheel of one module into a folder; returns its file name. */
export async function writeTinyWheel(directory: string, { name, version, source }: TinyWheel): Promise<string> {
  const file = `${name}-${version}-py3-none-any.whl`;
  const scriptFile = join(directory, 'make-wheel.py');
  await writeFile(scriptFile, script);
  await execa('python3', [scriptFile, join(directory, file), name, version, source]);
  return file;
}

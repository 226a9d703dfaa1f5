import { statSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { extname } from 'node:path';

import { readSafetensorsHeader } from '../../training/safetensors.js';
import { json, type Answer } from './answers.js';
import { modelFolderNames } from './model-folders.js';
import { nodeClasses, objectInfo } from './node-classes.js';
import type { Route, RouteContext } from './route.js';

const largestHeader = 2 ** 20;

/** What a client can ask about the server (contract comfyui 7.3 and 10). */
export const informationRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/system_stats', handle: systemStats },
  { method: 'GET', pattern: '/object_info', handle: allNodes },
  { method: 'GET', pattern: '/object_info/{class}', handle: oneNode },
  { method: 'GET', pattern: '/models', handle: () => json(modelFolderNames) },
  { method: 'GET', pattern: '/models/{folder}', handle: listModels },
  { method: 'GET', pattern: '/experiment/models/{folder}', handle: listModelFiles },
  { method: 'GET', pattern: '/view_metadata/{folder}', handle: viewMetadata },
  { method: 'GET', pattern: '/features', handle: ({ server }) => json(server.instance().features) },
  { method: 'GET', pattern: '/embeddings', handle: embeddings },
  { method: 'GET', pattern: '/extensions', handle: () => json([]) },
];

function systemStats({ server }: RouteContext): Answer {
  const { dialect, settings } = server;
  const loaded = server.instance().loadedBytes;
  const device = {
    name: 'cuda:0 Simulated GPU : native',
    type: 'cuda',
    index: 0,
    vram_total: settings.vramTotal,
    vram_free: Math.max(0, settings.vramTotal - loaded),
    torch_vram_total: loaded,
    torch_vram_free: 0,
  };
  return json({
    system: {
      os: dialect.system,
      ram_total: totalmem(),
      ram_free: freemem(),
      comfyui_version: dialect.version,
      required_frontend_version: '0.0.0+simulated',
      installed_templates_version: null,
      required_templates_version: null,
      python_version: '3.12.0 (simulated)',
      pytorch_version: '2.8.0+simulated',
      embedded_python: false,
      argv: ['main.py', '--simulated'],
      ...(dialect.jobCancel && { comfy_package_versions: [], deploy_environment: 'simulated' }),
    },
    devices: [device],
  });
}

function allNodes({ server }: RouteContext): Answer {
  return json(
    Object.fromEntries([...nodeClasses].map(([name, node]) => [name, objectInfo(node, server, server.dialect)])),
  );
}

function oneNode({ parameter, server }: RouteContext): Answer {
  const node = nodeClasses.get(parameter);
  return json(node === undefined ? {} : { [parameter]: objectInfo(node, server, server.dialect) });
}

function listModels({ parameter, server }: RouteContext): Answer {
  const names = server.models.list(parameter);
  return names === undefined ? { status: 404 } : json(names);
}

function listModelFiles({ parameter, server }: RouteContext): Answer {
  const names = server.models.list(parameter);
  if (names === undefined) return { status: 404 };
  const roots = server.models.roots(parameter) ?? [];
  return json(
    names.flatMap((name) => {
      const path = server.models.find(parameter, name);
      const found = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
      if (path === undefined || found === undefined) return [];
      const pathIndex = roots.findIndex((root) => path.startsWith(`${root}/`));
      return [{ name, pathIndex, modified: found.mtimeMs / 1000, created: found.ctimeMs / 1000, size: found.size }];
    }),
  );
}

/** 404 without metadata, for other files and headers above 1 MiB; a broken file is an exception: 500. */
async function viewMetadata({ parameter, url, server }: RouteContext): Promise<Answer> {
  const name = url.searchParams.get('filename');
  if (name === null || extname(name) !== '.safetensors') return { status: 404 };
  const path = server.models.find(parameter, name);
  if (path === undefined) return { status: 404 };
  const { metadata, tensors, fileBytes } = await readSafetensorsHeader(path);
  const dataBytes = tensors.reduce((sum, { start, end }) => sum + end - start, 0);
  const isLarge = fileBytes - dataBytes - 8 > largestHeader;
  return isLarge || Object.keys(metadata).length === 0 ? { status: 404 } : json(metadata);
}

function embeddings({ server }: RouteContext): Answer {
  return json((server.models.list('embeddings') ?? []).map((name) => name.slice(0, -extname(name).length)));
}

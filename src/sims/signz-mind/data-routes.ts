import { missingField, Refusal, type Answer } from './answers.js';
import { receiveForm } from './receive-form.js';
import type { Route, RouteContext } from './route.js';
import { nameInPath } from './stored-names.js';
import { roles } from './users.js';

const safeVersion = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** `POST /data/upload_batch` (contract signz-mind 2.3), the tower's four routes (1) and the two of model consumers (2.4). */
export const dataRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/data/upload_batch', role: roles.contributor, handle: uploadBatch },
  { method: 'GET', pattern: '/data/list_new_batches', role: roles.tower, handle: listBatches },
  { method: 'GET', pattern: '/data/download_batch/{name}', role: roles.tower, handle: downloadBatch },
  { method: 'POST', pattern: '/data/mark_batch_processed/{name}', role: roles.tower, handle: markBatch },
  { method: 'POST', pattern: '/model/upload', role: roles.tower, handle: uploadModel },
  { method: 'GET', pattern: '/model/latest_version', role: roles.consumer, handle: latestVersion },
  { method: 'GET', pattern: '/model/download/{name}', role: roles.consumer, handle: downloadModel },
];

async function uploadBatch({ request, url, user, storage }: RouteContext): Promise<Answer> {
  const clientId = url.searchParams.get('client_id');
  const target = storage.temporaryFile();
  try {
    const form = await receiveForm(request, { filePart: 'batch_file', target });
    if (clientId === null) throw missingField('query', 'client_id');
    const name = await storage.addBatch(form.file, user?.id ?? 0, clientId);
    return {
      status: 200,
      json: { message: 'Daten-Batch empfangen (simulated).', filename_on_server: name },
      bytes: (await storage.batchFile(name)).bytes,
    };
  } finally {
    await storage.discard(target);
  }
}

async function listBatches({ storage }: RouteContext): Promise<Answer> {
  return { status: 200, json: { new_batch_files: await storage.listBatches() } };
}

async function downloadBatch({ storage, parameter }: RouteContext): Promise<Answer> {
  const { path, bytes } = await storage.batchFile(nameInPath(parameter));
  return { status: 200, file: path, bytes, headers: { 'content-type': 'application/jsonl' } };
}

async function markBatch({ storage, parameter }: RouteContext): Promise<Answer> {
  await storage.markBatch(nameInPath(parameter));
  return { status: 200, json: { message: 'Als verarbeitet markiert (simulated).' } };
}

async function uploadModel({ request, storage }: RouteContext): Promise<Answer> {
  const target = storage.temporaryFile();
  try {
    const { fields } = await receiveForm(request, { filePart: 'model_file', target, required: ['model_version'] });
    const version = fields['model_version'] ?? '';
    if (!safeVersion.test(version)) throw new Refusal(400, 'Ungültige Modellversion (simulated)');
    const model = {
      model_version: version,
      training_date: fields['training_date'] ?? null,
      notes: fields['notes'] ?? null,
    };
    const { added, bytes } = await storage.addModel(target, model);
    return {
      status: 200,
      json: {
        message: added ? 'Modell gespeichert (simulated).' : 'Modell war bereits vorhanden (simulated).',
        model_version: version,
        filename_on_server: `${version}.zip`,
      },
      bytes,
      name: version,
    };
  } finally {
    await storage.discard(target);
  }
}

async function latestVersion({ storage }: RouteContext): Promise<Answer> {
  const latest = (await storage.listModels()).at(-1);
  if (latest === undefined) throw new Refusal(404, 'Noch kein Modell vorhanden (simulated)');
  const { model_version, training_date, upload_timestamp_utc, notes } = latest;
  return {
    status: 200,
    json: { latest_model_version: model_version, metadata: { training_date, upload_timestamp_utc, notes } },
  };
}

async function downloadModel({ storage, parameter }: RouteContext): Promise<Answer> {
  const version = nameInPath(parameter);
  const model = (await storage.listModels()).find(({ model_version }) => model_version === version);
  if (model === undefined) throw new Refusal(404, `Modell nicht gefunden: ${version} (simulated)`);
  return {
    status: 200,
    file: storage.modelFile(version),
    bytes: model.bytes,
    headers: { 'content-type': 'application/zip' },
  };
}

import axios from 'axios';

export interface EditorUpload {
  readonly address: string;
  readonly apiKey: string;
  readonly clientId: string;
  /** The batch, JSON lines. */
  readonly content: string | Uint8Array;
}

/**
 * Uploads a batch as the editor client does (contract signz-mind 2.3).
 *
 * @returns the name under which the server stored it.
 */
export async function uploadBatchAsEditor({ address, apiKey, clientId, content }: EditorUpload): Promise<string> {
  const form = new FormData();
  form.append('batch_file', new Blob([content], { type: 'application/jsonl' }), 'data_batch.jsonl');
  const { data } = await axios.post<{ filename_on_server: string }>(
    `${address}/data/upload_batch?client_id=${encodeURIComponent(clientId)}`,
    form,
    { headers: { 'X-API-Key': apiKey }, proxy: false, timeout: 120_000 },
  );
  return data.filename_on_server;
}

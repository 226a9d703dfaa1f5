import { chmodSync } from 'node:fs';

chmodSync(new URL('../dist/client.js', import.meta.url), 0o755);

import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';

/** A worker inside the test's own process, for activities and workflows that only tests have. */
export class TestWorker {
  readonly #connection: NativeConnection;
  readonly #worker: Worker;
  readonly #running: Promise<void>;

  private constructor(connection: NativeConnection, worker: Worker) {
    this.#connection = connection;
    this.#worker = worker;
    this.#running = worker.run();
  }

  static async start(address: string, options: Omit<WorkerOptions, 'connection'>): Promise<TestWorker> {
    const connection = await NativeConnection.connect({ address });
    return new TestWorker(connection, await Worker.create({ connection, ...options }));
  }

  async stop(): Promise<void> {
    this.#worker.shutdown();
    await this.#running;
    await this.#connection.close();
  }
}

/** Only errors; once in a process, before its first worker. */
export function quietRuntime(): void {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
}

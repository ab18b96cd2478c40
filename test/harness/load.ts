/** A steady load inside a mesh, from a client that knows nothing of it, and what became of every request. */

import { join } from 'node:path'
import readline from 'node:readline'
import type { Mesh, RunFlags, Running } from './mesh.ts'

/** Requests that are made at once, beside the load. times: 1 unless said. atOnce: how many are out at a time, 16 unless said, 64 at most. */
export type Asked = {
  readonly path?: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly times?: number
  readonly atOnce?: number
}

/** What the client program reads, one line each. */
export type Order = ({ readonly do: 'report' } | { readonly do: 'stop' } | ({ readonly do: 'ask' } & Asked)) & { readonly id: number }

/** From the beginning. failed: by reason. by: who answered. heldBack: not sent since a thousand were out. ticks, echoes: over connections that never end; cut: those that did. */
export type Report = {
  readonly seconds: number
  readonly sent: number
  readonly ok: number
  readonly posts: number
  readonly out: number
  readonly heldBack: number
  readonly slowestMs: number
  readonly failed: Readonly<Record<string, number>>
  readonly failedPosts: number
  readonly by: Readonly<Record<string, number>>
  readonly ticks: number
  readonly echoes: number
  readonly cut: readonly string[]
}

export type LoadOptions = {
  readonly name?: string
  /** `http://SERVICE:PORT` */
  readonly to: string
  /** Requests a second, one in four a POST with a body; 0: none. */
  readonly rate: number
  /** So many answers that never end. */
  readonly ticks?: number
  /** `tcp://SERVICE:PORT`, to hold one connection open. */
  readonly tcp?: string
} & RunFlags

const program = (name: string): readonly string[] => [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(import.meta.dirname, 'load', `${name}.ts`),
]

export type ServerOptions = { readonly instance: string; readonly delayMs?: number; readonly tcp?: boolean } & RunFlags

/** `weft run` of the plain server. instance: what it says it is. */
export function startServer(
  mesh: Mesh,
  name: string,
  { instance, delayMs = 0, tcp = false, flags = [], env, ...more }: ServerOptions,
): Running {
  return mesh.run(name, program('server'), {
    ...more,
    flags: ['--port', 'http:8080/http', ...(tcp ? ['--port', 'echo:7000/tcp'] : []), ...flags],
    env: { NAME: instance, DELAY_MS: String(delayMs), ...(tcp ? { TCP_PORT: '7000' } : {}), ...env },
  })
}

export class Load implements AsyncDisposable {
  readonly running: Running
  readonly #waiting = new Map<number, (value: never) => void>()
  #count = 0

  constructor(mesh: Mesh, { name = 'load', to, rate, ticks = 0, tcp = '', env, ...flags }: LoadOptions) {
    this.running = mesh.run(name, program('client'), {
      ...flags,
      env: { ...env, TO: to, RATE: String(rate), TICKS: String(ticks), TCP: tcp },
    })
    this.running.child.stdin?.on('error', () => {})
    readline.createInterface({ input: this.running.child.stdout! }).on('line', line => {
      const { id, value } = JSON.parse(line) as { id: number; value: never }
      this.#waiting.get(id)?.(value)
      this.#waiting.delete(id)
    })
  }

  report(): Promise<Report> {
    return this.#order({ do: 'report' })
  }

  /** How often each answer came: `INSTANCE`, `INSTANCE saw X-ADDED`, or the reason of a failure. */
  ask(asked: Asked): Promise<Readonly<Record<string, number>>> {
    return this.#order({ do: 'ask', ...asked })
  }

  /** Sends no more, waits for what is out, and ends. */
  async stop(): Promise<Report> {
    const last = await this.#order<Report>({ do: 'stop' })
    await this.running.exited
    return last
  }

  /** Resolves when so many more requests have been answered. */
  async answers(more: number, patienceMs = 30_000): Promise<void> {
    const { ok } = await this.report()
    const end = Date.now() + patienceMs
    for (;;) {
      const now = await this.report()
      if (now.ok >= ok + more) return
      if (Date.now() > end)
        throw new Error(
          `only ${now.ok - ok} of ${more} requests were answered within ${patienceMs} ms: ${tell(now)}\n${this.running.stderr}`,
        )
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  #order<T>(order: { do: 'report' | 'stop' | 'ask' } & Asked): Promise<T> {
    const id = (this.#count += 1)
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, resolve)
      void this.running.exited.then(({ code, stderr }) => reject(new Error(`the load ended with ${code}: ${stderr}`)))
      this.running.child.stdin!.write(`${JSON.stringify({ ...order, id })}\n`)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running.stop()
  }
}

/** One line for the log of a test. */
export const tell = ({ seconds, sent, ok, posts, heldBack, slowestMs, failed, by, ticks, echoes, cut }: Report): string =>
  [
    `${sent} sent in ${seconds.toFixed(1)} s (${(sent / seconds).toFixed(0)}/s, ${posts} POST), ${ok} ok, slowest ${slowestMs.toFixed(0)} ms`,
    ...(heldBack > 0 ? [`${heldBack} held back`] : []),
    ...(Object.keys(failed).length > 0 ? [`failed ${JSON.stringify(failed)}`] : []),
    `by ${JSON.stringify(by)}`,
    ...(ticks + echoes > 0 ? [`${ticks} ticks, ${echoes} echoes`] : []),
    ...(cut.length > 0 ? [`cut ${JSON.stringify(cut)}`] : []),
  ].join(', ')

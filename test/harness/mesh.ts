/** A real mesh for end-to-end tests: a control plane and workloads as processes of their own, in a temporary folder, on free ports. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import readline from 'node:readline'
import { type Client, connect } from '../../src/api/client.ts'
import type { KindPath } from '../../src/api/client.ts'

export const root = join(import.meta.dirname, '..', '..')
const weft = [process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'src/bin/weft.ts')]
const path = [process.env['PATH'], '/usr/sbin', '/sbin', '/usr/lib/postgresql/15/bin'].join(delimiter)

export const kinds = {
  service: { group: '', version: 'v1', plural: 'services', namespaced: true },
  httpRoute: { group: 'gateway.networking.k8s.io', version: 'v1', plural: 'httproutes', namespaced: true },
  workload: { group: 'weft.dev', version: 'v1alpha1', plural: 'workloads', namespaced: true },
} as const satisfies Record<string, KindPath>

export type Done = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** A process with its output kept. */
export class Running implements AsyncDisposable {
  readonly child: ChildProcess
  readonly exited: Promise<Done>
  stdout = ''
  stderr = ''
  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.on('data', chunk => (this.stdout += chunk))
    child.stderr?.on('data', chunk => (this.stderr += chunk))
    this.exited = once(child, 'close').then(([code, signal]) => ({
      code: (code as number | null) ?? (signal === null ? -1 : -2),
      stdout: this.stdout,
      stderr: this.stderr,
    }))
  }
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Done> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000)
    const done = await this.exited
    clearTimeout(timer)
    return done
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

export type MeshOptions = {
  readonly env?: Readonly<Record<string, string>> /** An ordinary user's id: workloads then run without root. */
  readonly uid?: number
}
export type RunFlags = { readonly flags?: readonly string[]; readonly env?: Readonly<Record<string, string>>; readonly cwd?: string }

export class Mesh implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'weft-e2e-'))
  readonly #options: MeshOptions
  readonly #running = new Set<Running>()
  #control: Running | undefined
  #ports: readonly [api: number, xds: number] = [0, 0]
  url = ''
  client: Client = connect('http://127.0.0.1:1')

  constructor(options: MeshOptions = {}) {
    this.#options = options
    // What an ordinary user needs to write: its state, and no more.
    chmodSync(this.folder, 0o755)
    for (const name of ['home', 'state']) mkdirSync(join(this.folder, name), { mode: 0o777 })
    for (const name of ['home', 'state']) chmodSync(join(this.folder, name), 0o777)
  }

  static async start(options: MeshOptions = {}): Promise<Mesh> {
    const mesh = new Mesh(options)
    await mesh.startControl()
    return mesh
  }

  get control(): Running {
    return this.#control!
  }

  /** The same ports again when it ran before. */
  async startControl(): Promise<void> {
    const [api, xds] = this.#ports
    const control = this.spawn([
      ...weft,
      'control',
      '--data',
      join(this.folder, 'control'),
      '--api-port',
      String(api),
      '--xds-port',
      String(xds),
      '-o',
      'json',
    ])
    const first = await new Promise<string>((resolve, reject) => {
      readline.createInterface({ input: control.child.stdout! }).once('line', resolve)
      void control.exited.then(({ code, stderr }) => reject(new Error(`the control plane ended with ${code}: ${stderr}`)))
    })
    const said = JSON.parse(first) as { api: string; xds: string }
    this.url = said.api
    this.#ports = [Number(new URL(said.api).port), Number(said.xds.split(':').at(-1))]
    this.#control = control
    this.client = connect(this.url)
  }

  /** Any program, with the mesh's environment, owned by this mesh. */
  spawn(command: readonly string[], { env, cwd }: RunFlags = {}): Running {
    const [file = '', ...args] = command
    const running = new Running(
      spawn(file, args, {
        cwd: cwd ?? this.folder,
        stdio: ['pipe', 'pipe', 'pipe'],
        env: {
          ...process.env,
          PATH: path,
          NODE_OPTIONS: '',
          XDG_STATE_HOME: join(this.folder, 'state'),
          XDG_CONFIG_HOME: join(this.folder, 'home'),
          HOME: join(this.folder, 'home'),
          ...this.#options.env,
          ...env,
        },
      }),
    )
    this.#running.add(running)
    return running
  }

  /** `weft ARGS`, to its end. */
  weft(...args: readonly string[]): Promise<Done> {
    return this.spawn([...weft, ...args], { env: { WEFT_CONTROL: this.url } }).exited
  }

  /** `weft run --name NAME FLAGS -- COMMAND`, as the user of this mesh. */
  run(name: string, command: readonly string[], { flags = [], ...rest }: RunFlags = {}): Running {
    const { uid } = this.#options
    const as = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--']
    return this.spawn([...as, ...weft, 'run', '--control', this.url, '--name', name, ...flags, '--', ...command], rest)
  }

  /** A batch job in the mesh, to its end. */
  job(name: string, command: readonly string[], flags: RunFlags = {}): Promise<Done> {
    return this.run(name, command, flags).exited
  }

  /** Resolves when a service has so many healthy workloads. */
  async healthy(service: string, count = 1): Promise<void> {
    await this.until(`${count} healthy of ${service}`, async () => {
      const { items } = await this.client.list(kinds.workload, { labelSelector: `app=${service}` })
      return items.filter(item => (item.status as { health?: string } | undefined)?.health === 'healthy').length === count
    })
  }

  async until(what: string, isTrue: () => Promise<boolean> | boolean, patienceMs = 30_000): Promise<void> {
    const end = Date.now() + patienceMs
    while (!(await isTrue())) {
      if (Date.now() > end) throw new Error(`within ${patienceMs} ms there was not: ${what}\n${this.logs()}`)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  logs(): string {
    return [...this.#running].map(({ child, stderr }) => `--- ${child.spawnargs.slice(3).join(' ')}\n${stderr.slice(-3000)}`).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workloads = [...this.#running].filter(running => running !== this.#control)
    await Promise.all(workloads.map(running => running.stop()))
    await this.#control?.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

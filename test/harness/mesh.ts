/** A real mesh for end-to-end tests: a control plane and workloads as processes of their own, in a temporary folder, on free ports. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import readline from 'node:readline'
import { type Client, connect } from '../../src/api/client.ts'
import type { KindPath } from '../../src/api/client.ts'

export const root = join(import.meta.dirname, '..', '..')
/** WEFT_TEST_PROGRAM=dist/bin/main.js: the same tests of the bundle. */
/** The line that starts Weft. */
export const weft = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  process.env['WEFT_TEST_PROGRAM'] ?? join(root, 'src/bin/weft.ts'),
]
/** Where programs are looked for: Debian keeps servers where an ordinary user's PATH does not lead. */
export const path = [process.env['PATH'], '/usr/sbin', '/sbin', '/usr/lib/postgresql/15/bin'].join(delimiter)

export const kinds = {
  service: { group: '', version: 'v1', plural: 'services', namespaced: true },
  httpRoute: { group: 'gateway.networking.k8s.io', version: 'v1', plural: 'httproutes', namespaced: true },
  authenticationPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'authenticationpolicies', namespaced: true },
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
    const kill = () => {
      process.stderr.write(`had to be killed: ${this.child.spawnargs.slice(3).join(' ')}\n${this.stderr.slice(-3000)}\n`)
      this.child.kill('SIGKILL')
    }
    const timer = setTimeout(kill, 15_000)
    const done = await this.exited
    clearTimeout(timer)
    return done
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** What a command did. output: of both streams, in the order in which they were written. */
export type Answer = { readonly code: number; readonly output: string }

/** A meshed shell, told what to do through its standard input. */
export class Shell implements AsyncDisposable {
  readonly running: Running
  #last: Promise<unknown> = Promise.resolve()
  #count = 0
  constructor(running: Running) {
    this.running = running
    running.child.stdin?.on('error', () => {})
  }

  /** Runs a line of shell. Those asked at once run in turn. */
  do(line: string, patienceMs = 60_000): Promise<Answer> {
    const answer = this.#last.then(() => this.#ask(line, patienceMs))
    this.#last = answer.catch(() => {})
    return answer
  }

  /** The same, which has to succeed. */
  async says(line: string): Promise<string> {
    const { code, output } = await this.do(line)
    if (code !== 0) throw new Error(`exit code ${code} of: ${line}\n${output}\n${this.running.stderr}`)
    return output
  }

  async #ask(line: string, patienceMs: number): Promise<Answer> {
    const { child } = this.running
    const from = this.running.stdout.length
    const mark = `:${process.pid}-${(this.#count += 1)}:`
    child.stdin!.write(`{ ${line}\n} 2>&1 </dev/null; printf '${mark}%d\\n' $?\n`)
    const end = Date.now() + patienceMs
    for (;;) {
      const said = this.running.stdout.slice(from)
      const at = said.indexOf(mark)
      if (at >= 0 && said.indexOf('\n', at) > 0)
        return { code: Number.parseInt(said.slice(at + mark.length), 10), output: said.slice(0, at) }
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > end)
        throw new Error(`no end of: ${line}\n${said}\n${this.running.stderr}`)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.running.child.stdin?.end()
    await this.running.stop()
  }
}

export type MeshOptions = {
  /** Further flags of `weft control`. */
  readonly control?: readonly string[]
  readonly env?: Readonly<Record<string, string>> /** An ordinary user's id: workloads then run without root. */
  readonly uid?: number | undefined
}
export type RunFlags = {
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Runs as this ordinary user, other than the mesh's own. */
  readonly uid?: number | undefined
  /** Put before `weft run`, such as a shell that first makes the machine poorer. */
  readonly under?: readonly string[]
}

/** What to put before a command so that it runs as that user. */
export const asUser = (uid: number | undefined): readonly string[] =>
  uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--']

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
  async startControl(flags: readonly string[] = []): Promise<void> {
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
      ...(this.#options.control ?? []),
      ...flags,
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

  /** No workload takes plaintext any more, and every proxy that is connected knows it. */
  async strict(): Promise<void> {
    const { resource } = await this.client.apply(kinds.authenticationPolicy, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AuthenticationPolicy',
      metadata: { name: 'strict', namespace: 'weft-system' },
      spec: { targetRefs: [{ kind: 'Mesh' }], mtls: { mode: 'Strict' } },
    })
    const revision = Number(resource.metadata.resourceVersion)
    await this.until(`revision ${revision} on every proxy`, async () => (await this.client.convergence(revision)).pending.length === 0)
  }

  /** The command that is Weft itself. */
  readonly program: readonly string[] = weft

  /** `weft ARGS`, to its end. */
  weft(...args: readonly string[]): Promise<Done> {
    return this.spawn([...weft, ...args], { env: { WEFT_CONTROL: this.url } }).exited
  }

  /** `weft run --name NAME FLAGS -- COMMAND`, as the user of this mesh. */
  run(name: string, command: readonly string[], { flags = [], uid = this.#options.uid, under = [], env, ...rest }: RunFlags = {}): Running {
    const state = { XDG_STATE_HOME: this.stateOf(uid) }
    const line = [...asUser(uid), ...under, ...weft, 'run', '--control', this.url, '--name', name, ...flags, '--', ...command]
    return this.spawn(line, { ...rest, env: { ...state, ...env } })
  }

  /** `weft gateway --name NAME FLAGS`, as whoever runs the test. */
  gateway(name: string, flags: readonly string[] = []): Running {
    return this.spawn([...weft, 'gateway', '--control', this.url, '--name', name, ...flags])
  }

  /** Where the proxies of a user keep what they know; each user has a folder of their own. */
  stateOf(uid: number | undefined): string {
    const folder = join(this.folder, uid === undefined ? 'state' : `state-${uid}`)
    mkdirSync(folder, { recursive: true })
    if (uid !== undefined) chmodSync(folder, 0o777)
    return folder
  }

  /** A shell in the mesh that does one thing after another: many calls for the price of one proxy. */
  shell(name: string, flags: RunFlags = {}): Shell {
    return new Shell(this.run(name, ['/bin/sh'], flags))
  }

  /** A batch job in the mesh, to its end. */
  job(name: string, command: readonly string[], flags: RunFlags = {}): Promise<Done> {
    return this.run(name, command, flags).exited
  }

  /** Resolves when a service has so many healthy workloads, and every proxy that is connected knows it. */
  async healthy(service: string, count = 1, namespace?: string): Promise<void> {
    await this.until(`${count} healthy of ${service}`, async () => {
      const states = await this.healthOf(service, namespace)
      return states.filter(state => state === 'healthy').length === count
    })
    const { resourceVersion } = await this.client.list(kinds.workload, { namespace })
    await this.until(`revision ${resourceVersion} on every proxy`, async () => {
      const { pending } = await this.client.convergence(Number(resourceVersion))
      return pending.length === 0
    })
  }

  /** One for each workload of a service that the inventory has. */
  async healthOf(service: string, namespace?: string): Promise<readonly string[]> {
    const { items } = await this.client.list(kinds.workload, { labelSelector: `app=${service}`, namespace })
    return items.map(item => (item.status as { health?: string } | undefined)?.health ?? 'unknown')
  }

  async until(what: string, isTrue: () => Promise<boolean> | boolean, patienceMs = 60_000): Promise<void> {
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

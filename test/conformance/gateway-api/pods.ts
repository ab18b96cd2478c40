/** The pods and Services of Gateway API's mesh conformance tests as workloads of a mesh of ours, and how their requests are made and judged. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import readline from 'node:readline'
import type { KindPath } from '../../../src/api/client.ts'
import type { Resource } from '../../../src/resources/kind.ts'
import { active } from '../../harness/front.ts'
import { kinds, Mesh, type Running } from '../../harness/mesh.ts'
import type { Order, Reply } from './echo.ts'

export const meshNamespace = 'gateway-conformance-mesh'
export const consumerNamespace = 'gateway-conformance-mesh-consumer'

/** What is sent, and what is expected. sent: what arrives at the pod, where it is not what was asked. absent: request headers that must not arrive. */
export type Case = Partial<Omit<Order, 'id' | 'times'>> & {
  readonly status?: number
  readonly pod?: string
  readonly sent?: { readonly path?: string; readonly headers?: Readonly<Record<string, string>> }
  readonly absent?: readonly string[]
  readonly answer?: Readonly<Record<string, string | undefined>>
  /** Parts of Location; what is not named is as it was asked. */
  readonly location?: { readonly scheme?: string; readonly host?: string; readonly port?: string; readonly path?: string }
}

type Pod = { readonly running: Running; readonly waiting: Map<number, (replies: readonly Reply[]) => void> }

export class Pods implements AsyncDisposable {
  readonly mesh: Mesh
  readonly #pods = new Map<string, Pod>()
  #count = 0

  private constructor(mesh: Mesh) {
    this.mesh = mesh
  }

  static async start(): Promise<Pods> {
    await using owned = new AsyncDisposableStack()
    const mesh = owned.use(await Mesh.start())
    const pods = new Pods(mesh)
    // As pods have addresses of their own, which is for each platform to say.
    await mesh.client.apply(meshes, everyAddress, { force: true })
    for (const name of [meshNamespace, consumerNamespace])
      await mesh.client.apply(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, { force: true })
    for (const [namespace, versions] of [
      [meshNamespace, ['v1', 'v2']],
      [consumerNamespace, ['v1']],
    ] as const)
      for (const version of versions) pods.#run(namespace, version)
    await mesh.healthy('pod', 2, meshNamespace)
    await mesh.healthy('pod', 1, consumerNamespace)
    for (const version of [undefined, 'v1', 'v2']) {
      const { resource } = await mesh.client.apply(kinds.service, serviceOf(version), { namespace: meshNamespace, force: true })
      await active(mesh, Number(resource.metadata.resourceVersion))
    }
    owned.move()
    return pods
  }

  #run(namespace: string, version: string): void {
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'echo.ts')]
    const running = this.mesh.run(`pod-${version}`, program, {
      flags:
        `--namespace ${namespace} --service pod --label pod=echo --app-version ${version} --port http:8080/http --port grpc:7070/grpc`.split(
          ' ',
        ),
      env: { POD: `echo-${version}` },
    })
    const pod: Pod = { running, waiting: new Map() }
    readline.createInterface({ input: running.child.stdout! }).on('line', line => {
      const { id, replies } = JSON.parse(line) as { id: number; replies: readonly Reply[] }
      pod.waiting.get(id)?.(replies)
      pod.waiting.delete(id)
    })
    this.#pods.set(`${namespace}/echo-${version}`, pod)
  }

  /** The address of one pod itself. */
  async addressOf(pod: string): Promise<string> {
    const { items } = await this.mesh.client.list(kinds.workload, { namespace: meshNamespace })
    const found = items.find(({ metadata }) => metadata.labels?.['version'] === pod.replace('echo-', ''))
    return (found!.status as { readonly meshAddress: string }).meshAddress
  }

  /** Applies the routes of one conformance test, runs it, and takes them away. */
  async with(routes: readonly Resource[], run: () => Promise<void>): Promise<void> {
    const written: Resource[] = []
    try {
      for (const route of routes) {
        const { resource } = await this.mesh.client.apply(kindOf(route), route, { force: true })
        written.push(resource)
        await active(this.mesh, Number(resource.metadata.resourceVersion))
      }
      await run()
    } finally {
      for (const route of written)
        await this.mesh.client.delete(kindOf(route), route.metadata.name, { namespace: route.metadata.namespace })
    }
  }

  ask(
    from: string,
    times: number,
    { protocol = 'http', host = 'echo', path = '/', method = 'GET', headers = {} }: Case,
  ): Promise<readonly Reply[]> {
    const { running, waiting } = this.#pods.get(from)!
    const id = (this.#count += 1)
    return new Promise((resolve, reject) => {
      waiting.set(id, resolve)
      void running.exited.then(({ code, stderr }) => reject(new Error(`the pod ended with ${code}: ${stderr}`)))
      running.child.stdin!.write(`${JSON.stringify({ id, protocol, host, path, method, headers, times } satisfies Order)}\n`)
    })
  }

  /** Asks from echo-v1 of the mesh's namespace, unless another is said. */
  async expect(each: Case, from = `${meshNamespace}/echo-v1`): Promise<void> {
    const [reply] = await this.ask(from, 1, each)
    const about = JSON.stringify({ asked: each, reply })
    const { status = each.location === undefined ? 200 : 302, pod, sent, absent = [], answer = {}, location } = each
    assert.equal(reply!.status, status, about)
    if (pod !== undefined) assert.equal(reply!.echo?.pod, pod, about)
    if (sent?.path !== undefined) assert.equal(reply!.echo?.path, sent.path, about)
    for (const [name, value] of Object.entries(sent?.headers ?? {})) assert.equal(reply!.echo?.headers[name.toLowerCase()], value, about)
    for (const name of absent) assert.equal(reply!.echo?.headers[name.toLowerCase()], undefined, about)
    for (const [name, value] of Object.entries(answer)) assert.equal(reply!.headers[name.toLowerCase()], value, about)
    if (location !== undefined) {
      const { scheme = 'http', host = 'echo', port = '', path = each.path ?? '/' } = location
      const found = new URL(reply!.headers.location ?? '')
      assert.deepEqual([found.protocol, found.hostname, found.port, found.pathname], [`${scheme}:`, host, port, path], about)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mesh[Symbol.asyncDispose]()
  }
}

const meshes: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'meshes', namespaced: false }
const everyAddress: Resource = {
  apiVersion: 'weft.dev/v1alpha1',
  kind: 'Mesh',
  metadata: { name: 'default' },
  spec: { workloadAddresses: 'All' },
}
const namespaces: KindPath = { group: '', version: 'v1', plural: 'namespaces', namespaced: false }
const kindOf = ({ kind }: Resource): KindPath => ({ ...kinds.httpRoute, plural: kind === 'GRPCRoute' ? 'grpcroutes' : 'httproutes' })

const serviceOf = (version: string | undefined): Resource =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: version === undefined ? 'echo' : `echo-${version}`, namespace: meshNamespace },
    spec: {
      selector: { pod: 'echo', ...(version === undefined ? {} : { version }) },
      ports: [
        { name: 'http', port: 80, appProtocol: 'http', targetPort: 8080 },
        { name: 'http-alt', port: 8080, appProtocol: 'http' },
        { name: 'https', port: 443, targetPort: 8443 },
        { name: 'tcp', port: 9090 },
        version === undefined ? { name: 'grpc', port: 7070, appProtocol: 'kubernetes.io/h2c' } : { name: 'grpc', port: 7070 },
      ],
    },
  }) as Resource

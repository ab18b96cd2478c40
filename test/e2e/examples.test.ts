/** Each example is applied to a control plane as it stands, and every part of it holds: no condition of it says otherwise. What they do to traffic is seen in the tests that the guide names. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { readDocuments } from '../../src/resources/read.ts'
import { certify } from '../harness/certify.ts'
import { Mesh, root } from '../harness/mesh.ts'

const folder = join(root, 'examples')
const examples = readdirSync(folder).filter(name => name.endsWith('.yaml'))

/** Wherever in a document something is referred to as a Service: its name, and the ports it is asked for. */
function* servicesIn(value: unknown): Generator<{ readonly name: string; readonly port: number | undefined }> {
  if (Array.isArray(value)) for (const each of value) yield* servicesIn(each)
  else if (typeof value === 'object' && value !== null) {
    const { kind = 'Service', name, port, group = '' } = value as Record<string, unknown>
    if (kind === 'Service' && group === '' && typeof name === 'string') yield { name, port: typeof port === 'number' ? port : undefined }
    for (const each of Object.values(value)) yield* servicesIn(each)
  }
}

type Conditions = readonly { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }[]
type Status = {
  readonly conditions?: Conditions
  readonly parents?: readonly { readonly conditions: Conditions }[]
  readonly ancestors?: readonly { readonly conditions: Conditions }[]
  readonly listeners?: readonly { readonly conditions: Conditions }[]
}

suite('examples', () => {
  let mesh: Mesh
  before(async () => {
    mesh = new Mesh({ control: ['--attest-socket', 'attest.sock', '--attest-roots', 'tls.crt'] })
    const at = (name: string) => join(mesh.folder, name)
    certify({ key: at('tls.key'), cert: at('tls.crt'), names: ['DNS:*.example.com'] })
    await mesh.startControl()
  })
  after(() => mesh[Symbol.asyncDispose]())

  for (const name of examples)
    test(name, async () => {
      const text = readFileSync(join(folder, name), 'utf8')
      const { resources } = readDocuments(text, name)
      const own = new Set(resources.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name))
      const ports = new Map<string, Set<number>>()
      for (const { spec } of resources)
        for (const { name: service, port } of servicesIn(spec)) {
          if (own.has(service) || resources.some(({ metadata }) => metadata.name === service && metadata['kind'] === 'Gateway')) continue
          const known = ports.get(service) ?? ports.set(service, new Set([8080])).get(service)!
          if (port !== undefined) known.add(port)
        }
      const around = [...ports].map(([service, numbers]) => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: service },
        spec: {
          selector: { app: service },
          ports: [...numbers].map(port => ({ name: port === 8080 ? 'http' : `p${port}`, port, appProtocol: 'http' })),
        },
      }))
      const data = (file: string) => readFileSync(join(mesh.folder, file)).toString('base64')
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'example-com' },
        type: 'kubernetes.io/tls',
        data: { 'tls.crt': data('tls.crt'), 'tls.key': data('tls.key') },
      }
      const file = join(mesh.folder, `around-${name}`)
      writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...around, secret] }))
      const prepared = await mesh.weft('apply', '-f', file)
      assert.equal(prepared.code, 0, prepared.stderr)
      const applied = await mesh.weft('apply', '-f', join(folder, name))
      assert.equal(applied.code, 0, applied.stderr)
      const kinds = await mesh.client.kinds()
      const statusOf = async ({ kind, metadata }: (typeof resources)[number]): Promise<Status> => {
        const found = kinds.find(each => each.kind === kind)!
        return ((await mesh.client.get(found, metadata.name, { namespace: metadata.namespace })).status ?? {}) as Status
      }
      const conditionsOf = ({ conditions = [], parents = [], ancestors = [], listeners = [] }: Status): Conditions => [
        ...conditions,
        ...[...parents, ...ancestors, ...listeners].flatMap(each => each.conditions),
      ]
      await mesh.until('a word on each document', async () => {
        const all = await Promise.all(resources.filter(({ kind }) => !['Service', 'Namespace', 'Secret'].includes(kind)).map(statusOf))
        return all.every(status => conditionsOf(status).length > 0)
      })
      for (const resource of resources)
        for (const { type, status, reason, message } of conditionsOf(await statusOf(resource))) {
          // No proxy runs: nothing is ready, and no Gateway is programmed.
          if (type === 'Ready' || type === 'Programmed' || type === 'Conflicted' || type === 'OverlappingTLSConfig') continue
          // Nobody is at the addresses of other meshes.
          if (type === 'Fetched' || reason === 'Pending') continue
          assert.equal(status, 'True', `${resource.kind} ${resource.metadata.name}: ${type} ${reason}: ${message}`)
        }
      const removed = await mesh.weft('delete', '-f', join(folder, name))
      assert.equal(removed.code, 0, removed.stderr)
    })
})

/**
 * Bodies in Kubernetes protobuf, which typed commands of kubectl since 1.32 send (`create namespace`, `create service`): read for the core kinds and reviews only.
 * Envelope: "k8s\0" and runtime.Unknown. Field numbers: k8s.io/api/core/v1 and k8s.io/apimachinery/pkg/apis/meta/v1, generated.proto.
 */

import { badRequest } from './refusal.ts'

/** What a field holds; a message by its table, a map of strings, a list of either by `many`. */
type Field = {
  readonly name: string
  readonly type: 'text' | 'number' | 'flag' | 'time' | 'stringMap' | 'bytesMap' | 'intOrString' | Message
  readonly many?: true
}
type Message = Readonly<Record<number, Field>>

const text = (name: string): Field => ({ name, type: 'text' })
const texts = (name: string): Field => ({ name, type: 'text', many: true })
const number = (name: string): Field => ({ name, type: 'number' })
const flag = (name: string): Field => ({ name, type: 'flag' })
const inner = (name: string, type: Message): Field => ({ name, type })

const objectMeta: Message = {
  1: text('name'),
  2: text('generateName'),
  3: text('namespace'),
  5: text('uid'),
  6: text('resourceVersion'),
  7: number('generation'),
  8: { name: 'creationTimestamp', type: 'time' },
  11: { name: 'labels', type: 'stringMap' },
  12: { name: 'annotations', type: 'stringMap' },
  14: texts('finalizers'),
}
const servicePort: Message = {
  1: text('name'),
  2: text('protocol'),
  3: number('port'),
  4: { name: 'targetPort', type: 'intOrString' },
  5: number('nodePort'),
  6: text('appProtocol'),
}
const serviceSpec: Message = {
  1: { name: 'ports', type: servicePort, many: true },
  2: { name: 'selector', type: 'stringMap' },
  3: text('clusterIP'),
  4: text('type'),
  5: texts('externalIPs'),
  7: text('sessionAffinity'),
  8: text('loadBalancerIP'),
  9: texts('loadBalancerSourceRanges'),
  10: text('externalName'),
  11: text('externalTrafficPolicy'),
  12: number('healthCheckNodePort'),
  13: flag('publishNotReadyAddresses'),
  17: text('ipFamilyPolicy'),
  18: texts('clusterIPs'),
  19: texts('ipFamilies'),
  20: flag('allocateLoadBalancerNodePorts'),
  21: text('loadBalancerClass'),
  22: text('internalTrafficPolicy'),
  23: text('trafficDistribution'),
}
/** k8s.io/api/authorization/v1, generated.proto. */
const resourceAttributes: Message = {
  1: text('namespace'),
  2: text('verb'),
  3: text('group'),
  4: text('version'),
  5: text('resource'),
  6: text('subresource'),
  7: text('name'),
}
const accessReview = (spec: Message): Message => ({
  1: inner('metadata', objectMeta),
  2: inner('spec', {
    1: inner('resourceAttributes', resourceAttributes),
    2: inner('nonResourceAttributes', { 1: text('path'), 2: text('verb') }),
    ...spec,
  }),
})
const documents: Readonly<Record<string, Message>> = {
  'v1 Namespace': { 1: inner('metadata', objectMeta), 2: inner('spec', { 1: texts('finalizers') }) },
  'v1 Service': { 1: inner('metadata', objectMeta), 2: inner('spec', serviceSpec) },
  'v1 Secret': {
    1: inner('metadata', objectMeta),
    2: { name: 'data', type: 'bytesMap' },
    3: text('type'),
    4: { name: 'stringData', type: 'stringMap' },
    5: flag('immutable'),
  },
  'v1 ConfigMap': {
    1: inner('metadata', objectMeta),
    2: { name: 'data', type: 'stringMap' },
    3: { name: 'binaryData', type: 'bytesMap' },
    4: flag('immutable'),
  },
  'authorization.k8s.io/v1 SelfSubjectAccessReview': accessReview({}),
  'authorization.k8s.io/v1 SubjectAccessReview': accessReview({ 3: text('user'), 4: texts('groups') }),
  'authorization.k8s.io/v1 SelfSubjectRulesReview': { 1: inner('metadata', objectMeta), 2: inner('spec', { 1: text('namespace') }) },
  'v1 DeleteOptions': {
    1: number('gracePeriodSeconds'),
    2: inner('preconditions', { 1: text('uid'), 2: text('resourceVersion') }),
    4: text('propagationPolicy'),
    5: texts('dryRun'),
  },
}
const envelope: Message = { 1: inner('type', { 1: text('apiVersion'), 2: text('kind') }), 3: text('encoding'), 4: text('contentType') }

export const protobufType = 'application/vnd.kubernetes.protobuf'
const magic = [0x6b, 0x38, 0x73, 0]

/** Zero values are left out, as JSON would have them absent. A kind whose fields are not known here is its apiVersion and kind alone. */
export function readProtobuf(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (!magic.every((byte, at) => bytes[at] === byte))
    throw badRequest('the body is not in the Kubernetes protobuf encoding: it does not begin with "k8s"')
  try {
    const outer = bytes.subarray(magic.length)
    const { type } = read(outer, envelope) as { type?: { apiVersion?: string; kind?: string } }
    const raw = [...records(outer)].find(record => record.field === 2)?.bytes ?? new Uint8Array(0)
    const { apiVersion = '', kind = '' } = type ?? {}
    // DeleteOptions come in the group of what they delete.
    const document = documents[`${apiVersion} ${kind}`] ?? documents[`v1 ${kind === 'DeleteOptions' ? kind : ''}`]
    return { apiVersion, kind, ...(document ? read(raw, document) : {}) }
  } catch (thrown) {
    if (thrown instanceof RangeError) throw badRequest('the protobuf body ends in the middle of a field')
    throw thrown
  }
}

function read(bytes: Uint8Array, message: Message): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (const record of records(bytes)) {
    const field = message[record.field]
    if (!field) continue
    const found = valueOf(record, field)
    if (field.type === 'stringMap' || field.type === 'bytesMap')
      value[field.name] = { ...(value[field.name] as object | undefined), ...(found as object) }
    else if (field.many) value[field.name] = [...((value[field.name] as unknown[] | undefined) ?? []), found]
    else if (found !== '' && found !== 0 && found !== false && found !== undefined) value[field.name] = found
  }
  return value
}

function valueOf({ number, bytes }: Part, { type }: Field): unknown {
  if (typeof type === 'object') return read(bytes, type)
  if (type === 'number') return number
  if (type === 'flag') return number !== 0
  if (type === 'text') return new TextDecoder().decode(bytes)
  const part = (at: number): Part | undefined => [...records(bytes)].find(record => record.field === at)
  const said = (at: number): string => new TextDecoder().decode(part(at)?.bytes)
  if (type === 'stringMap') return { [said(1)]: said(2) }
  // In base64, as JSON has it.
  if (type === 'bytesMap') return { [said(1)]: btoa(String.fromCharCode(...(part(2)?.bytes ?? []))) }
  if (type === 'time') return part(1) ? new Date(part(1)!.number * 1000).toISOString().replace('.000', '') : undefined
  return part(1)?.number === 1 ? said(3) : (part(2)?.number ?? 0)
}

type Part = { readonly field: number; readonly number: number; readonly bytes: Uint8Array }

/** protobuf.dev/programming-guides/encoding: varints and length-delimited fields; fixed ones are skipped. Throws RangeError at a premature end. */
function* records(bytes: Uint8Array): Generator<Part> {
  let at = 0
  const varint = (): number => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined || shift > 63n) throw new RangeError('varint')
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(BigInt.asIntN(64, value))
    }
  }
  const none = new Uint8Array(0)
  while (at < bytes.length) {
    const key = varint()
    const [field, wire] = [Math.floor(key / 8), key % 8]
    if (wire === 0) yield { field, number: varint(), bytes: none }
    else {
      const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : Number.NaN
      if (!(length >= 0) || at + length > bytes.length) throw new RangeError('length')
      yield { field, number: 0, bytes: bytes.subarray(at, at + length) }
      at += length
    }
  }
}

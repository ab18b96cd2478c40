/** TelemetryPolicies: what each proxy tells of what passes, merged field by field, and put on its listeners. */

import { type LogField, logFields, partsOf } from '#base/log-fields'
import type { Backend } from '#model/backend'
import type { Lack } from '#model/envoy'
import type { Listener } from '#model/listener'
import type { Mesh, TelemetryLayer } from '#model/mesh'
import type { AccessLog, LogCondition, SpanAttribute, Telemetry, Tracing } from '#model/telemetry'
import type { ProxyNode } from '#model/workload'
import { durationMs } from '#resources/duration'
import type { TelemetryPolicy, TelemetryPolicySpec } from '#resources/weft'
import { namespaceOf } from '../gather.ts'
import { outsideBackend } from '../outside/backend.ts'
import { selects } from '../services/services.ts'
import { type ResourceStatus, state } from '../status.ts'
import { millionths } from './faults.ts'
import { specOf } from './fields.ts'
import { layerOf } from './layers.ts'
import { merge, settle } from './merge.ts'
import type { Judging, Targets } from './targets.ts'

/** Every proxy can tell of everything; what Envoy cannot is said by `beyondEnvoy`. */
export const judgingTelemetry: Judging<TelemetryPolicy> = { unable: () => undefined }

/** What counts most first. */
export function findTelemetry(policies: readonly TelemetryPolicy[], targets: Targets<TelemetryPolicy>): Mesh['telemetry'] {
  if (targets.isEmpty) return []
  const namespaces = [...new Set(policies.map(namespaceOf))].sort()
  const narrow = namespaces.flatMap(namespace =>
    targets
      .ofPlace(namespace)
      .filter(({ level }) => level !== 'Mesh')
      .map((placed): TelemetryLayer => {
        const selector = placed.labels === undefined ? {} : { selector: placed.labels }
        return { namespace, ...selector, layer: layerOf(placed) }
      }),
  )
  const wide = targets.ofPlace('').filter(({ level }) => level === 'Mesh')
  return [...narrow, ...wide.map(placed => ({ layer: layerOf(placed) }))]
}

/** What the policies are told; of those that speak of spans, whether any of them can be made. */
export function toldOf(
  policies: readonly TelemetryPolicy[],
  targets: Targets<TelemetryPolicy>,
  telemetry: Mesh['telemetry'],
): readonly ResourceStatus[] {
  const byName = new Map(policies.map(each => [`${namespaceOf(each)}/${each.metadata.name}`, each]))
  return targets.statuses.map(status => {
    const policy = byName.get(`${status.namespace ?? 'default'}/${status.name}`)
    const tracing = policy?.spec?.tracing
    if (policy === undefined || tracing === undefined || tracing.mode === 'Disabled') return status
    const isWide = policy.spec!.targetRefs.some(({ kind }) => kind === 'Mesh')
    const around = telemetry.filter(({ namespace }) => isWide || namespace === undefined || namespace === namespaceOf(policy))
    if (around.some(({ layer }) => 'tracing.exporter' in layer.says)) return status
    const says =
      'spec.tracing: no policy names an exporter for these proxies, so that no spans are made: give exporter, here or for the mesh'
    const condition = state(policy, 'PartiallyInvalid', true, 'NoExporter', says)
    const ancestors = (status.ancestors ?? []).map(each =>
      each.conditions.some(one => one.type === 'Accepted' && one.status === 'True')
        ? { ...each, conditions: [...each.conditions, condition] }
        : each,
    )
    return { ...status, ancestors }
  })
}

/** Undefined where nobody says anything that holds for this proxy. */
export function telemetryOf(mesh: Mesh, node: ProxyNode): Telemetry | undefined {
  const layers = layersAt(mesh, node)
  if (layers.length === 0) return undefined
  const { accessLog, tracing } = specOf('TelemetryPolicy', merge(layers.map(each => each.layer))) as Partial<TelemetryPolicySpec>
  const log = accessLog === undefined || accessLog.mode === 'Disabled' ? undefined : logOf(accessLog, node.service)
  const spans = tracing === undefined || tracing.mode === 'Disabled' ? undefined : tracingOf(tracing, node.service)
  if (log === undefined && spans === undefined) return undefined
  return { ...(log === undefined ? {} : { accessLog: log }), ...(spans === undefined ? {} : { tracing: spans }) }
}

/** What a proxy that is an Envoy tells otherwise, and by whose word. */
export function beyondEnvoy(mesh: Mesh, node: ProxyNode): readonly Omit<Lack, 'kind'>[] {
  const telemetry = telemetryOf(mesh, node)
  if (telemetry === undefined) return []
  const { accessLog, tracing } = telemetry
  const settled = settle(layersAt(mesh, node).map(each => each.layer))
  /** Of the first of these that somebody says. */
  const by = (...fields: readonly string[]): string => {
    const field =
      fields.find(each => settled.has(each)) ?? [...settled.keys()].find(each => each.startsWith(`${fields[0]!.split('.')[0]}.`))
    return settled.get(field ?? '')?.by.policy.split(' ')[1] ?? ''
  }
  const at = 'all listeners'
  const told: readonly LogField[] =
    accessLog === undefined
      ? []
      : accessLog.format.type === 'json'
        ? accessLog.format.fields
        : accessLog.format.parts.flatMap(part => (typeof part === 'string' ? [] : [part.field]))
  return [
    ...(told.some(each => unknownToEnvoy.has(each)) ? [{ what: 'fieldsOfLog', name: by('accessLog.format'), at } as const] : []),
    ...(tracing?.encoding === 'json' ? [{ what: 'spansAsJson', name: by('tracing.exporter'), at } as const] : []),
    ...(tracing?.propagation.includes('b3') === true ? [{ what: 'propagationByB3', name: by('tracing.propagation'), at } as const] : []),
  ]
}
const unknownToEnvoy: ReadonlySet<LogField> = new Set(['decision', 'rule', 'condition', 'source'])

/** What selects this proxy. */
const layersAt = ({ telemetry }: Mesh, node: Pick<ProxyNode, 'namespace' | 'service' | 'labels'>): readonly TelemetryLayer[] =>
  telemetry.filter(
    ({ namespace, selector }) =>
      (namespace === undefined || namespace === node.namespace) && (selector === undefined || selects(selector, node)),
  )

type Said<Field extends 'accessLog' | 'tracing'> = NonNullable<TelemetryPolicySpec[Field]>

function logOf({ destination, format, sampling, when }: Said<'accessLog'>, service: string): AccessLog {
  const share = sampling === undefined ? 1_000_000 : millionths(sampling)
  return {
    ...(destination?.path === undefined ? {} : { path: destination.path }),
    ...(destination?.endpoint === undefined ? {} : { collector: { backend: logBackend(new URL(destination.endpoint)), service } }),
    format:
      format?.type === 'Text'
        ? { type: 'text', parts: partsOf(format.template ?? usualText) }
        : { type: 'json', fields: format?.fields ?? logFields },
    ...(share === 1_000_000 ? {} : { share }),
    ...(when === undefined ? {} : { when: when.map(conditionOf) }),
  }
}

const usualText =
  '{time} {direction} {source} -> {destination} "{method} {path} {protocol}" {status} {reason} {bytesReceived} {bytesSent} {duration}ms {route} {endpoint} {decision} {policy} {traceId}'

const outcomes = { Failed: 'failed', Denied: 'denied' } as const
const conditionOf = ({ statusAtLeast, statuses, outcome, slowerThan }: NonNullable<Said<'accessLog'>['when']>[number]): LogCondition => ({
  ...(statusAtLeast === undefined ? {} : { statusAtLeast }),
  ...(statuses === undefined ? {} : { statuses }),
  ...(outcome === undefined ? {} : { outcome: outcomes[outcome] }),
  ...(slowerThan === undefined ? {} : { slowerThanMs: durationMs(slowerThan) }),
})

/** Undefined where nobody says where spans go. */
function tracingOf(
  { exporter, sampling, propagation = ['W3C'], customAttributes = [] }: Said<'tracing'>,
  service: string,
): Tracing | undefined {
  if (exporter === undefined) return undefined
  const { endpoint, protocol } = exporter.otlp
  const url = new URL(endpoint)
  if (url.pathname === '/') url.pathname = '/v1/traces'
  const share = sampling === undefined ? 1_000_000 : millionths(sampling)
  return {
    service,
    url: url.href,
    backend: backendName(url),
    encoding: protocol === 'HTTPJSON' ? 'json' : 'protobuf',
    ...(share === 1_000_000 ? {} : { share }),
    propagation: propagation.map(each => (each === 'W3C' ? 'w3c' : 'b3')),
    attributes: customAttributes.map(
      ({ name, value, header, default: absent }): SpanAttribute =>
        header === undefined
          ? { name, value: value ?? '' }
          : { name, header: header.toLowerCase(), ...(absent === undefined ? {} : { absent }) },
    ),
  }
}

const backendName = ({ origin }: URL): string => `tracing/${origin}`
const logBackendPrefix = 'logs/'
const logBackend = ({ origin }: URL): string => `${logBackendPrefix}${origin}`

/** The same listeners where nothing is told. Spans are of requests: where none are seen there are none. */
export function withTelemetry(
  listeners: Readonly<Record<string, Listener>>,
  telemetry: Telemetry | undefined,
): Readonly<Record<string, Listener>> {
  if (telemetry === undefined) return listeners
  const { accessLog } = telemetry
  const ofBytes = accessLog === undefined ? {} : { telemetry: { accessLog } }
  const seesRequests = ({ routes, terminates = [] }: Listener): boolean =>
    routes !== undefined || terminates.some(each => each.routes !== undefined)
  return Object.fromEntries(
    Object.entries(listeners).map(([name, listener]) => [name, { ...listener, ...(seesRequests(listener) ? { telemetry } : ofBytes) }]),
  )
}

/** By which spans and lines go to their collectors. */
export function telemetryBackends(telemetry: Telemetry | undefined): Readonly<Record<string, Backend>> {
  const { tracing, accessLog } = telemetry ?? {}
  const { collector } = accessLog ?? {}
  return {
    ...(tracing === undefined ? {} : { [tracing.backend]: outsideBackend(tracing.backend, new URL(tracing.url)) }),
    ...(collector === undefined
      ? {}
      : { [collector.backend]: outsideBackend(collector.backend, new URL(collector.backend.slice(logBackendPrefix.length)), 'http2') }),
  }
}

/** Envoy's access loggers and tracer → what is told of requests and connections; a field, a filter or a sink that this proxy does not have is refused by name. */

import type { JsonObject } from '@bufbuild/protobuf'
import { type LogField, logFields, type LogPart, logPathProblem } from '#base/log-fields'
import type { Direction } from '#model/listener'
import type { AccessLog as Log, LogCondition, LogFormat, SpanAttribute, Telemetry, Tracing } from '#model/telemetry'
import { type LogPlace, operatorOf } from '../encode/log-operators.ts'
import { logRuntime, outcomeExpressions, statusExpression } from '../encode/telemetry.ts'
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogSchema,
  ComparisonFilter_Op as Op,
} from '../gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import { type SubstitutionFormatString, SubstitutionFormatStringSchema } from '../gen/envoy/config/core/v3/substitution_format_string_pb.ts'
import type { Filter } from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import type { Listener as EnvoyListener } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import { OpenTelemetryConfigSchema } from '../gen/envoy/config/trace/v3/opentelemetry_pb.ts'
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { ExpressionFilterSchema } from '../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts'
import {
  type OpenTelemetryAccessLogConfig,
  OpenTelemetryAccessLogConfigSchema,
} from '../gen/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.ts'
import { StdoutAccessLogSchema } from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import {
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
  HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { UdpProxyConfigSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy_pb.ts'
import type { AnyValue } from '../gen/opentelemetry/proto/common/v1/common_pb.ts'
import type { CustomTag } from '../gen/envoy/type/tracing/v3/custom_tag_pb.ts'
import { carries, refuse, shareOf, textOf, typeName, unpack } from './carried.ts'
import { labelsOf, textLabel } from './words.ts'

const checkLog = carries(AccessLogSchema, ['name', 'filter', 'typed_config'])
const checkFile = carries(FileAccessLogSchema, ['path', 'log_format'])
const checkStdout = carries(StdoutAccessLogSchema, ['log_format'])
const checkCollected = carries(OpenTelemetryAccessLogConfigSchema, [
  'common_config',
  'disable_builtin_labels',
  'resource_attributes',
  'body',
  'attributes',
])
const checkFormat = carries(SubstitutionFormatStringSchema, ['json_format', 'text_format_source', 'omit_empty_values'])
// What is spawned upstream is a span of its own either way, and long paths are cut by no proxy.
const checkTracing = carries(HttpConnectionManager_TracingSchema, ['client_sampling', 'random_sampling', 'custom_tags', 'provider'])
const checkTracer = carries(OpenTelemetryConfigSchema, ['http_service', 'service_name'])

/** What all chains and filters of it say alike; undefined: nothing. direction: of the listener, as it was read. */
export function decodeTelemetry(message: EnvoyListener, direction: Direction): Telemetry | undefined {
  const said = [
    ...[...message.filterChains, ...(message.defaultFilterChain === undefined ? [] : [message.defaultFilterChain])].flatMap(
      ({ filters }, chain) => filters.flatMap((filter, at) => told(filter, direction, `filter_chains[${chain}].filters[${at}]`) ?? []),
    ),
    ...message.listenerFilters.flatMap((filter, at) => told(filter, direction, `listener_filters[${at}]`) ?? []),
  ]
  const accessLog = alike(said.map(each => each.accessLog))
  const tracing = alike(said.flatMap(each => (each.sees === 'requests' ? [each.tracing] : [])))
  if (accessLog === undefined && tracing === undefined) return undefined
  return {
    ...(accessLog === undefined ? {} : { accessLog }),
    ...(tracing === undefined ? {} : { tracing: { ...tracing, ...spoken(labelsOf(message.metadata, 'listener')) } }),
  }
}

type Told = Telemetry & { readonly sees: LogPlace['of'] }

/** Of a filter that carries requests or connections; undefined: it carries neither. */
function told(
  { configType }: Pick<Filter, 'configType'> | EnvoyListener['listenerFilters'][number],
  direction: Direction,
  where: string,
): Told | undefined {
  if (configType.case !== 'typedConfig') return undefined
  const any = configType.value
  switch (typeName(any)) {
    case HttpConnectionManagerSchema.typeName: {
      const manager = unpack(any, HttpConnectionManagerSchema, where)
      // In a tunnel of datagrams there are no requests.
      const sees = manager.routeSpecifier.case === 'rds' ? 'requests' : 'connections'
      const tracing = manager.tracing === undefined ? {} : { tracing: tracingOf(manager.tracing, `${where}.tracing`) }
      return { sees, ...logOf(manager.accessLog, { direction, of: sees }, where), ...tracing }
    }
    case TcpProxySchema.typeName:
      return { sees: 'connections', ...logOf(unpack(any, TcpProxySchema, where).accessLog, { direction, of: 'connections' }, where) }
    case UdpProxyConfigSchema.typeName:
      return { sees: 'connections', ...logOf(unpack(any, UdpProxyConfigSchema, where).accessLog, { direction, of: 'connections' }, where) }
    default:
      return undefined
  }
}

function alike<Value>(all: readonly Value[]): Value | undefined {
  const [first, ...others] = all
  const text = JSON.stringify(first)
  if (others.some(each => JSON.stringify(each) !== text)) refuse('filter_chains', 'all of a listener tell the same: access_log and tracing')
  return first
}

function logOf([log, ...others]: readonly AccessLog[], place: LogPlace, where: string): Pick<Telemetry, 'accessLog'> {
  if (log === undefined) return {}
  const at = `${where}.access_log[0]`
  if (others.length > 0) refuse(`${where}.access_log[1]`, 'one access log is carried out')
  checkLog(log, at)
  if (log.configType.case !== 'typedConfig') refuse(at, 'only typed_config is carried out')
  const any = log.configType.value
  const filter = log.filter === undefined ? {} : filterOf(log.filter, `${at}.filter`)
  if (typeName(any) === StdoutAccessLogSchema.typeName) {
    const stdout = unpack(any, StdoutAccessLogSchema, at)
    checkStdout(stdout, at)
    return { accessLog: { format: formatOf(stdout.accessLogFormat.value, place, at), ...filter } }
  }
  if (typeName(any) === OpenTelemetryAccessLogConfigSchema.typeName)
    return { accessLog: { ...collected(unpack(any, OpenTelemetryAccessLogConfigSchema, at), place, at), ...filter } }
  if (typeName(any) !== FileAccessLogSchema.typeName) refuse(at, `${typeName(any)} is not carried out here, only ${carried.join(', ')}`)
  const file = unpack(any, FileAccessLogSchema, at)
  checkFile(file, at)
  const wrong = logPathProblem(file.path)
  if (wrong !== undefined) refuse(`${at}.path`, wrong)
  const format = file.accessLogFormat.case === 'logFormat' ? file.accessLogFormat.value : undefined
  return { accessLog: { path: file.path, format: formatOf(format, place, at), ...filter } }
}

const carried = [StdoutAccessLogSchema, FileAccessLogSchema, OpenTelemetryAccessLogConfigSchema].map(each => each.typeName)

/** Lines for a collector. */
function collected(config: OpenTelemetryAccessLogConfig, place: LogPlace, at: string): Pick<Log, 'collector' | 'format'> {
  checkCollected(config, at)
  const { commonConfig, resourceAttributes, body, attributes, disableBuiltinLabels } = config
  const service = commonConfig?.grpcService?.targetSpecifier
  if (service?.case !== 'envoyGrpc') refuse(`${at}.common_config.grpc_service`, 'an envoy_grpc with a cluster is needed')
  if (!disableBuiltinLabels) refuse(`${at}.disable_builtin_labels`, 'must be true: labels of Envoy are not written')
  const [who, ...others] = (resourceAttributes?.values ?? []).map(
    each => [each.key, textIn(each.value, `${at}.resource_attributes`)] as const,
  )
  if (who?.[0] !== 'service.name' || others.length > 0) refuse(`${at}.resource_attributes`, 'service.name and no other is carried out')
  const collector = { backend: service.value.clusterName, service: who[1] }
  const fields = new Map(logFields.map(field => [operatorOf(field, place), field]))
  if (body !== undefined && attributes !== undefined) refuse(`${at}.attributes`, 'a body or attributes are carried out, not both')
  if (body !== undefined) return { collector, format: { type: 'text', parts: partsOf(textIn(body, `${at}.body`), fields, `${at}.body`) } }
  const keys = (attributes?.values ?? []).map(each => keyOf(each.key, textIn(each.value, `${at}.attributes`), fields, `${at}.attributes`))
  return { collector, format: { type: 'json', fields: keys } }
}

const textIn = (value: AnyValue | undefined, where: string): string =>
  value?.value.case === 'stringValue' ? value.value.value : refuse(where, 'only texts are carried out')

function formatOf(format: SubstitutionFormatString | undefined, place: LogPlace, at: string): LogFormat {
  const where = `${at}.log_format`
  if (format === undefined) refuse(where, "is needed: Envoy's own default is not carried out")
  checkFormat(format, where)
  const fields = new Map(logFields.map(field => [operatorOf(field, place), field]))
  if (format.format.case === 'jsonFormat') {
    if (!format.omitEmptyValues) refuse(`${where}.omit_empty_values`, 'must be true: what there is not is left out')
    return {
      type: 'json',
      fields: Object.entries(format.format.value).map(([key, value]) => keyOf(key, value, fields, `${where}.json_format`)),
    }
  }
  if (format.format.case !== 'textFormatSource') refuse(where, 'json_format or text_format_source is needed')
  if (format.omitEmptyValues) refuse(`${where}.omit_empty_values`, 'must be false in text: what there is not is written as -')
  const text = textOf(format.format.value, `${where}.text_format_source`)
  if (!text.endsWith('\n')) refuse(`${where}.text_format_source`, 'must end its line')
  return { type: 'text', parts: partsOf(text.slice(0, -1), fields, `${where}.text_format_source`) }
}

function keyOf(key: string, value: unknown, fields: ReadonlyMap<string, LogField>, where: string): LogField {
  const field = typeof value === 'string' ? fields.get(value) : undefined
  if (field === undefined) refuse(`${where}.${key}`, `${JSON.stringify(value)} is not carried out by this proxy`)
  return field === key ? field : refuse(`${where}.${key}`, `this proxy calls it ${field}`)
}

function partsOf(text: string, fields: ReadonlyMap<string, LogField>, where: string): readonly LogPart[] {
  const parts: LogPart[] = []
  let plain = ''
  for (const [each] of text.matchAll(/%%|%[^%]*%|[^%]+|%/g)) {
    const field = each.length > 2 ? fields.get(each) : undefined
    if (field === undefined) {
      if (each.startsWith('%') && each !== '%%') refuse(where, `${each} is not carried out by this proxy`)
      plain += each === '%%' ? '%' : each
      continue
    }
    if (plain !== '') parts.push(plain)
    plain = ''
    parts.push({ field })
  }
  return plain === '' ? parts : [...parts, plain]
}

/** A part of those that fit one of the conditions. */
function filterOf(filter: AccessLogFilter, where: string): Pick<Log, 'share' | 'when'> {
  const { filterSpecifier: is } = filter
  if (is.case === 'runtimeFilter') {
    if (is.value.runtimeKey !== logRuntime.sampled || !is.value.useIndependentRandomness)
      refuse(
        `${where}.runtime_filter`,
        `only ${logRuntime.sampled} with use_independent_randomness is carried out: this proxy has no runtime`,
      )
    return { share: shareOf(is.value.percentSampled, 0) }
  }
  const last = is.case === 'andFilter' && is.value.filters.length === 2 ? is.value.filters[1] : undefined
  if (is.case === 'andFilter' && last?.filterSpecifier.case === 'runtimeFilter')
    return { ...filterOf(is.value.filters[0]!, `${where}.and_filter`), ...filterOf(last, `${where}.and_filter`) }
  const some = is.case === 'orFilter' ? is.value.filters : [filter]
  return { when: some.map(each => conditionOf(each, where)) }
}

function conditionOf(filter: AccessLogFilter, where: string): LogCondition {
  const parts = filter.filterSpecifier.case === 'andFilter' ? filter.filterSpecifier.value.filters : [filter]
  const found: { -readonly [Part in keyof LogCondition]: LogCondition[Part] } = {}
  for (const { filterSpecifier: is } of parts) {
    const part = partOf(is, where)
    const twice = Object.keys(part).find(key => key in found)
    if (twice !== undefined) refuse(where, 'two filters about the same, both of which must hold, are not carried out')
    Object.assign(found, part)
  }
  return found
}

function partOf(is: AccessLogFilter['filterSpecifier'], where: string): LogCondition {
  if (is.case === 'statusCodeFilter' || is.case === 'durationFilter') {
    const { comparison } = is.value
    if (comparison?.op !== Op.GE || comparison.value === undefined) refuse(where, `of a ${is.case} only GE is carried out`)
    const { defaultValue } = comparison.value
    return is.case === 'statusCodeFilter' ? { statusAtLeast: defaultValue } : { slowerThanMs: defaultValue }
  }
  if (is.case !== 'extensionFilter') refuse(where, `${is.case ?? 'an empty filter'} is not carried out by this proxy`)
  const at = `${where}.extension_filter`
  const config = is.value.configType.case === 'typedConfig' ? is.value.configType.value : undefined
  const { expression } = unpack(config, ExpressionFilterSchema, at)
  for (const outcome of ['failed', 'denied'] as const) if (expression === outcomeExpressions[outcome]) return { outcome }
  const statuses = (/^response\.code in \[([0-9, ]+)\]$/.exec(expression)?.[1] ?? '').split(', ').map(Number)
  if (expression !== statusExpression(statuses)) refuse(at, `the expression ${expression} is not carried out by this proxy`)
  return { statuses }
}

type Traced = Omit<Tracing, 'encoding' | 'propagation'>

function tracingOf(tracing: HttpConnectionManager_Tracing, where: string): Tracing {
  checkTracing(tracing, where)
  const { provider, clientSampling, randomSampling, customTags } = tracing
  if (clientSampling?.value !== 0) refuse(`${where}.client_sampling`, 'must be 0: x-client-trace-id is not looked at')
  const at = `${where}.provider`
  const any = provider?.configType.case === 'typedConfig' ? provider.configType.value : undefined
  const tracer = unpack(any, OpenTelemetryConfigSchema, at)
  checkTracer(tracer, at)
  const uri = tracer.httpService?.httpUri
  if (uri === undefined || uri.httpUpstreamType.case !== 'cluster') refuse(`${at}.http_service`, 'an http_uri with a cluster is needed')
  if (tracer.httpService!.requestHeadersToAdd.length > 0)
    refuse(`${at}.http_service.request_headers_to_add`, 'not carried out by this proxy')
  if (!URL.canParse(uri.uri)) refuse(`${at}.http_service.http_uri.uri`, 'is no URL')
  const traced: Traced = {
    service: tracer.serviceName,
    url: uri.uri,
    backend: uri.httpUpstreamType.value,
    ...(randomSampling === undefined ? {} : { share: Math.round(randomSampling.value * 10_000) }),
    attributes: customTags.map((tag, index) => attributeOf(tag, `${where}.custom_tags[${index}]`)),
  }
  return { ...traced, encoding: 'protobuf', propagation: ['w3c'] }
}

function attributeOf({ tag: name, type }: CustomTag, where: string): SpanAttribute {
  if (type.case === 'literal') return { name, value: type.value.value }
  if (type.case !== 'requestHeader') refuse(where, 'only literal and request_header are carried out')
  const { name: header, defaultValue } = type.value
  return { name, header: header.toLowerCase(), ...(defaultValue === '' ? {} : { absent: defaultValue }) }
}

/** What Envoy has no field for. */
function spoken(labels: JsonObject): Partial<Pick<Tracing, 'encoding' | 'propagation'>> {
  const label = textLabel(labels, 'tracing')
  if (label === undefined) return {}
  const [encoding, names = ''] = label.split(' ')
  const propagation = names.split(',')
  if (encoding !== 'protobuf' && encoding !== 'json')
    refuse('metadata', `the label tracing says ${encoding}, which is no encoding of spans`)
  const isKnown = (name: string): name is 'w3c' | 'b3' => name === 'w3c' || name === 'b3'
  return propagation.every(isKnown)
    ? { encoding, propagation }
    : refuse('metadata', `the label tracing says ${names}, not all of which is known`)
}

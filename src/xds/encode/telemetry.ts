/** What is told of requests and connections → Envoy's access loggers, their filters, and its tracer for OpenTelemetry. */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import type { Listener } from '#model/listener'
import type { AccessLog as Log, LogCondition, SpanAttribute, Telemetry, Tracing } from '#model/telemetry'
import {
  type AccessLog,
  type AccessLogFilterSchema,
  AccessLogSchema,
  ComparisonFilter_Op as Op,
} from '../gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import { ApiVersion } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import { SubstitutionFormatStringSchema } from '../gen/envoy/config/core/v3/substitution_format_string_pb.ts'
import { OpenTelemetryConfigSchema } from '../gen/envoy/config/trace/v3/opentelemetry_pb.ts'
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { ExpressionFilterSchema } from '../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts'
import { OpenTelemetryAccessLogConfigSchema } from '../gen/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.ts'
import { StdoutAccessLogSchema } from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import type { HttpConnectionManager_TracingSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { CustomTagSchema } from '../gen/envoy/type/tracing/v3/custom_tag_pb.ts'
import { FractionalPercent_DenominatorType as Denominator } from '../gen/envoy/type/v3/percent_pb.ts'
import { type LogPlace, operatorOf } from './log-operators.ts'
import { duration, typed } from './source.ts'

const otlpLogger = 'envoy.access_loggers.open_telemetry'

type Filter = MessageInitShape<typeof AccessLogFilterSchema>

/** Runtime keys, which Envoy demands. Nobody sets them. */
export const logRuntime = {
  status: 'weft.access_log.status',
  duration: 'weft.access_log.duration',
  sampled: 'weft.access_log.sampled',
} as const

/** What is failed and what is denied, in Envoy's words (attributes of CEL). */
export const outcomeExpressions = {
  failed: 'response.code >= 500 || response.flags != 0',
  denied: [
    ...['rbac_access_denied', 'jwt_authn_access_denied', 'ext_authz_'].map(each => `response.code_details.startsWith('${each}')`),
    ...['rbac_access_denied', 'ext_authz_'].map(each => `connection.termination_details.startsWith('${each}')`),
  ].join(' || '),
} as const
export const statusExpression = (statuses: readonly number[]): string => `response.code in [${statuses.join(', ')}]`

/** For `access_log` of whatever filter carries the requests or connections. */
export function encodeAccessLog(
  { telemetry, direction }: Pick<Listener, 'telemetry' | 'direction'>,
  of: LogPlace['of'],
): { accessLog?: AccessLog[] } {
  const log = telemetry?.accessLog
  if (log === undefined) return {}
  const filter = filterOf(log)
  return {
    accessLog: [
      create(AccessLogSchema, {
        name:
          log.collector !== undefined ? otlpLogger : log.path === undefined ? 'envoy.access_loggers.stdout' : 'envoy.access_loggers.file',
        ...(filter === undefined ? {} : { filter }),
        configType: sinkOf(log, { direction, of }),
      }),
    ],
  }
}

function sinkOf(log: Log, place: LogPlace) {
  if (log.collector !== undefined) return collectorOf(log.format, log.collector, place)
  const logFormat = formatOf(log.format, place)
  return log.path === undefined
    ? typed(StdoutAccessLogSchema, create(StdoutAccessLogSchema, { accessLogFormat: { case: 'logFormat', value: logFormat } }))
    : typed(FileAccessLogSchema, create(FileAccessLogSchema, { path: log.path, accessLogFormat: { case: 'logFormat', value: logFormat } }))
}

/** Of JSON each field is an attribute, of text the line is the body. */
function collectorOf(format: Log['format'], { backend, service }: NonNullable<Log['collector']>, place: LogPlace) {
  const said = (key: string, text: string) => ({ key, value: textValue(text) })
  return typed(
    OpenTelemetryAccessLogConfigSchema,
    create(OpenTelemetryAccessLogConfigSchema, {
      commonConfig: {
        logName: 'weft',
        transportApiVersion: ApiVersion.V3,
        grpcService: {
          targetSpecifier: { case: 'envoyGrpc', value: { clusterName: backend, authority: hostOf(backend) } },
          timeout: duration(exportMs),
        },
      },
      disableBuiltinLabels: true,
      resourceAttributes: { values: [said('service.name', service)] },
      ...(format.type === 'json'
        ? { attributes: { values: format.fields.map(field => said(field, operatorOf(field, place))) } }
        : { body: textValue(templateOf(format, place)) }),
    }),
  )
}

/** Servers refuse the name of the cluster, which Envoy would write. */
const hostOf = (backend: string): string => backend.replace(/^.*:\/\//, '')

const textValue = (value: string) => ({ value: { case: 'stringValue' as const, value } })

const templateOf = ({ parts }: Extract<Log['format'], { type: 'text' }>, place: LogPlace): string =>
  parts.map(part => (typeof part === 'string' ? part.replaceAll('%', '%%') : operatorOf(part.field, place))).join('')

function formatOf(format: Log['format'], place: LogPlace) {
  if (format.type === 'json') {
    const value = Object.fromEntries(format.fields.map(field => [field, operatorOf(field, place)]))
    return create(SubstitutionFormatStringSchema, { format: { case: 'jsonFormat', value }, omitEmptyValues: true })
  }
  return create(SubstitutionFormatStringSchema, {
    format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: `${templateOf(format, place)}\n` } } },
  })
}

function filterOf({ when, share }: Log): Filter | undefined {
  const conditions = (when ?? []).map(conditionOf)
  const some = conditions.length > 1 ? either(conditions) : conditions[0]
  if (share === undefined) return some
  const sampled: Filter = {
    filterSpecifier: {
      case: 'runtimeFilter',
      value: {
        runtimeKey: logRuntime.sampled,
        percentSampled: { numerator: share, denominator: Denominator.MILLION },
        useIndependentRandomness: true,
      },
    },
  }
  return some === undefined ? sampled : both([some, sampled])
}

const either = (filters: Filter[]): Filter => ({ filterSpecifier: { case: 'orFilter', value: { filters } } })
const both = (filters: Filter[]): Filter => ({ filterSpecifier: { case: 'andFilter', value: { filters } } })

const atLeast = (defaultValue: number, runtimeKey: string) => ({ comparison: { op: Op.GE, value: { defaultValue, runtimeKey } } })

function conditionOf({ statusAtLeast, statuses, outcome, slowerThanMs }: LogCondition): Filter {
  const parts: Filter[] = []
  if (statusAtLeast !== undefined)
    parts.push({ filterSpecifier: { case: 'statusCodeFilter', value: atLeast(statusAtLeast, logRuntime.status) } })
  if (statuses !== undefined) parts.push(holds(statusExpression(statuses)))
  if (outcome !== undefined) parts.push(holds(outcomeExpressions[outcome]))
  if (slowerThanMs !== undefined)
    parts.push({ filterSpecifier: { case: 'durationFilter', value: atLeast(slowerThanMs, logRuntime.duration) } })
  return parts.length > 1 ? both(parts) : parts[0]!
}

const holds = (expression: string): Filter => ({
  filterSpecifier: {
    case: 'extensionFilter',
    value: {
      name: 'envoy.access_loggers.extension_filters.cel',
      configType: typed(ExpressionFilterSchema, create(ExpressionFilterSchema, { expression })),
    },
  },
})

/** For `tracing` of the filter that carries requests. */
export function encodeTracing({ telemetry }: Pick<Listener, 'telemetry'>): {
  tracing?: MessageInitShape<typeof HttpConnectionManager_TracingSchema>
} {
  if (telemetry?.tracing === undefined) return {}
  const { url, backend, service, share, attributes } = telemetry.tracing
  const tracer = create(OpenTelemetryConfigSchema, {
    serviceName: service,
    httpService: { httpUri: { uri: url, httpUpstreamType: { case: 'cluster', value: backend }, timeout: duration(exportMs) } },
  })
  return {
    tracing: {
      // Whoever asks by x-client-trace-id is not asked about: a request is sampled by its own context, or by chance.
      clientSampling: { value: 0 },
      ...(share === undefined ? {} : { randomSampling: { value: share / 10_000 } }),
      customTags: attributes.map(tagOf),
      provider: { name: 'envoy.tracers.opentelemetry', configType: typed(OpenTelemetryConfigSchema, tracer) },
    },
  }
}

/** How long a collector may take. */
export const exportMs = 10_000

const tagOf = (attribute: SpanAttribute): MessageInitShape<typeof CustomTagSchema> => ({
  tag: attribute.name,
  type:
    'value' in attribute
      ? { case: 'literal', value: { value: attribute.value } }
      : { case: 'requestHeader', value: { name: attribute.header, defaultValue: attribute.absent ?? '' } },
})

/** What the operators of the access log read, and what Envoy has no field for: it writes protobuf, and propagates by W3C. */
export const telemetryLabels = ({
  telemetry,
  direction,
  name,
}: Pick<Listener, 'telemetry' | 'direction' | 'name'>): Readonly<Record<string, string>> => ({
  ...(telemetry?.accessLog === undefined ? {} : { direction, listener: name }),
  ...tracingLabels(telemetry),
})

const tracingLabels = ({ tracing }: Telemetry = {}): Readonly<Record<string, string>> =>
  tracing === undefined || isPlain(tracing) ? {} : { tracing: `${tracing.encoding} ${tracing.propagation.join()}` }

const isPlain = ({ encoding, propagation }: Tracing): boolean => encoding === 'protobuf' && propagation.join() === 'w3c'

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { logFields } from '#base/log-fields'
import type { Listener } from '#model/listener'
import type { Telemetry } from '#model/telemetry'
import { decodeResource } from './decode.ts'
import { encodeListener } from './encode/listener.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { FileAccessLogSchema } from './gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { StdoutAccessLogSchema } from './gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import { TcpProxySchema } from './gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { typeUrls } from './types.ts'

const bytes: Listener = {
  name: 'inbound/5432',
  direction: 'inbound',
  host: '127.0.0.1',
  port: 4000,
  protocol: 'tcp',
  backends: [{ backend: 'local/5432', weight: 1 }],
  service: 'db.default',
}
const format = { type: 'json', fields: ['time', 'reason'] } as const

const read = (message: ReturnType<typeof encodeListener>) =>
  decodeResource(typeUrls.listener, message.name, toBinary(ListenerSchema, message))

describe('what is told of a listener', () => {
  const all: readonly (readonly [string, Telemetry])[] = [
    ['all fields, on standard output', { accessLog: { format: { type: 'json', fields: logFields } } }],
    [
      'text with percent signs, to a file',
      { accessLog: { path: '/var/log/a.log', format: { type: 'text', parts: ['100% ', { field: 'path' }, ' %'] } } },
    ],
    ['fields, to a collector', { accessLog: { collector: { backend: 'logs/http://c:4317', service: 'db' }, format } }],
    [
      'text, to a collector',
      {
        accessLog: {
          collector: { backend: 'logs/http://c:4317', service: 'db' },
          format: { type: 'text', parts: ['%', { field: 'path' }] },
        },
      },
    ],
    ['a part', { accessLog: { format, share: 12_345 } }],
    ['one condition', { accessLog: { format, when: [{ statusAtLeast: 500 }] } }],
    [
      'a part of one condition of several parts',
      { accessLog: { format, share: 1, when: [{ statusAtLeast: 500, slowerThanMs: 3, outcome: 'failed' }] } },
    ],
    [
      'some of several conditions',
      {
        accessLog: {
          format,
          when: [{ statuses: [200, 503] }, { outcome: 'denied', slowerThanMs: 1000 }, { statuses: [404], outcome: 'failed' }],
        },
      },
    ],
  ]
  for (const [says, telemetry] of all)
    test(`comes to the proxy as it was sent: ${says}`, () => {
      const listener = { ...bytes, telemetry }
      const decoded = read(encodeListener(listener))
      assert.ok('part' in decoded, JSON.stringify(decoded))
      assert.deepEqual(decoded.part.value, listener)
    })

  /** What becomes of the listener with this access log in place of our own. */
  function refusal(config: Parameters<typeof anyPack>[1], schema: Parameters<typeof anyPack>[0]): string {
    const message = encodeListener({ ...bytes, telemetry: { accessLog: { format } } })
    const filter = message.filterChains[0]!.filters.at(-1)!
    const proxy = create(TcpProxySchema, {
      statPrefix: bytes.name,
      clusterSpecifier: { case: 'cluster', value: 'local/5432' },
      accessLog: [{ name: 'a', configType: { case: 'typedConfig', value: anyPack(schema, config) } }],
    })
    filter.configType = { case: 'typedConfig', value: anyPack(TcpProxySchema, proxy) }
    const decoded = read(message)
    return 'rejected' in decoded ? decoded.rejected : ''
  }
  const json = (value: Record<string, string>, omitEmptyValues = true) =>
    ({ case: 'logFormat', value: { omitEmptyValues, format: { case: 'jsonFormat', value } } }) as const

  test('is refused by name where this proxy cannot do it', () => {
    const stdout = (accessLogFormat: ReturnType<typeof json>) =>
      refusal(create(StdoutAccessLogSchema, { accessLogFormat }), StdoutAccessLogSchema)
    assert.match(stdout(json({ what: '%RESPONSE_TX_DURATION%' })), /json_format\.what: "%RESPONSE_TX_DURATION%" is not carried out/)
    assert.match(stdout(json({ what: '%START_TIME%' })), /json_format\.what: this proxy calls it time/)
    assert.match(stdout(json({ time: '%START_TIME%' }, false)), /omit_empty_values: must be true/)
    assert.match(refusal(create(StdoutAccessLogSchema), StdoutAccessLogSchema), /log_format: is needed/)
    const path = '/etc/passwd'
    const file = create(FileAccessLogSchema, { path, accessLogFormat: json({ time: '%START_TIME%' }) })
    assert.match(refusal(file, FileAccessLogSchema), /path: must end in \.log/)
  })
})

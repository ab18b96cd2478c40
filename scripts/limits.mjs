/** The page of limits: every number is read from the code that keeps it, so a row whose limit is gone or has no row stops the script. */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defaultLimits as proxy } from '../src/proxy/place.ts'
import { hopLimits } from '../src/proxy/upstreams/hop.ts'
import { defaultLimits as http1 } from '../src/wire/http1/limits.ts'
import { defaultLimits as http2 } from '../src/wire/http2/limits.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Sections: title, what stands above the table, rows of [limit, how to write it, what happens beyond, what Envoy has]. A limit is a key of `from`, or [file, constant]. */
const sections = [
  {
    title: 'What one proxy carries',
    from: proxy,
    rows: [
      [
        'connections',
        'count',
        'A further connection is broken off: `overload` in `weft_tcp_connections_closed_total`',
        'none; guidance: set `downstream_cx` limits',
      ],
      ['requests', 'count', '503 `overload`', 'circuit breakers, 1,024 a cluster'],
      [
        'stillMs',
        'ms',
        'Nothing passed on an exchange: 408 `request-timeout` while its body is owed, else 504 `upstream-timeout`; an answer that has begun is broken off. Not for tunnels and gRPC',
        '`stream_idle_timeout` 5 min',
      ],
      [['proxy/upstreams/lane.ts', 'maxMultiplexed'], 'count', 'HTTP/2 connections to one endpoint; then requests wait', 'none'],
      [
        ['proxy/upstreams/lane.ts', 'maxWaiting'],
        'count',
        'Requests that wait for one endpoint (`weft_upstream_waiting`); beyond: 503 `overload`',
        '`max_pending_requests` 1,024',
      ],
      [['proxy/upstreams/lane.ts', 'maxWaitMs'], 'ms', 'Such a wait: 503 `overload`', 'none'],
      [
        ['proxy/requests/mirror.ts', 'maxUnderWay'],
        'count',
        'Copies of requests for mirrors at once; beyond, requests are not copied: `overload` in `weft_mirrored_requests_total`',
        'circuit breakers, 1,024 a cluster',
      ],
      [
        ['proxy/requests/mirror.ts', 'maxWaitingBytes'],
        'bytes',
        'Body bytes that wait for a mirror slower than its original; then the copy is given up: `overload` in `weft_mirrored_requests_total`',
        'high watermark of the stream',
      ],
      [
        ['proxy/requests/rate-limit.ts', 'maxKeys'],
        'count',
        'Identities or header values with a bucket of their own, of one RateLimitPolicy; beyond, new ones share one bucket',
        '`max_dynamic_descriptors` 20',
      ],
      [['proxy/upstreams/lane.ts', 'maxIdle'], 'count', 'Idle HTTP/1 connections kept to one endpoint; one more is closed', 'none'],
      [
        ['proxy/requests/exchange.ts', 'maxKeptBytes'],
        'bytes',
        'Of a request body that is handed on, so that it can be sent elsewhere; a longer one is sent once',
        '`per_request_buffer_limit`',
      ],
      [
        ['proxy/requests/delivery.ts', 'maxTries'],
        'count',
        'Endpoints tried while nothing of a request was taken; then its last failure is the answer',
        '`max_requests_per_retry`',
      ],
    ],
  },
  {
    title: 'Time',
    rows: [
      [
        ['proxy/callers/arrival.ts', 'patienceMs'],
        'ms',
        'Until the first byte of a caller of the mesh: closed',
        '`transport_socket_connect_timeout`',
      ],
      [
        ['proxy/callers/first-bytes.ts', 'usualDetectMs'],
        'ms',
        'First bytes on a port of unknown protocol (`--detect-ms`): carried as opaque TCP, outcome `opaque` in `weft_protocol_detections_total`',
        '`listener_filters_timeout` 15 s',
      ],
      [
        ['proxy/requests/mirror.ts', 'longestMs'],
        'ms',
        'A copy for a mirror, where its route says nothing shorter: given up, `upstream-timeout` in `weft_mirrored_requests_total`',
        'the timeout of the route',
      ],
      [
        ['proxy/callers/proxy-header.ts', 'headerMs'],
        'ms',
        'A PROXY header that is demanded: broken off',
        '`listener_filters_timeout` 15 s',
      ],
      [
        ['proxy/callers/downstream.ts', 'headMs'],
        'ms',
        'From the first byte of an HTTP/1 head to its end: 408 `request-timeout`, closed',
        '`request_headers_timeout`, guidance 10 s',
      ],
      [
        ['proxy/callers/downstream-http2.ts', 'headMs'],
        'ms',
        'From HEADERS of HTTP/2 to its last CONTINUATION: GOAWAY, `request-timeout` in `weft_connections_failed_total`',
        '`request_headers_timeout`',
      ],
      [['proxy/callers/downstream-http2.ts', 'firstMs'], 'ms', 'Until the first stream: GOAWAY, closed', '–'],
      [['proxy/callers/downstream.ts', 'idleMs'], 'ms', 'A caller’s HTTP/1 connection without a request: closed', '`idle_timeout` 1 h'],
      [
        ['proxy/callers/downstream-http2.ts', 'idleMs'],
        'ms',
        'A caller’s HTTP/2 connection without a stream: GOAWAY, closed',
        '`idle_timeout` 1 h, guidance 15 min',
      ],
      [
        ['proxy/callers/downstream.ts', 'doubtMs'],
        'ms',
        'A caller of HTTP/1 that closed its half while nothing is sent to it: it is gone, reason `caller-gone`',
        'at once',
      ],
      [
        ['proxy/callers/downstream-http2.ts', 'silenceMs'],
        'ms',
        'A caller with open streams that is silent is pinged, and given up after as long again',
        '`connection_keepalive`, off',
      ],
      [
        ['proxy/upstreams/multiplexed.ts', 'silenceMs'],
        'ms',
        'A silent HTTP/2 endpoint is pinged, and given up after as long again: `upstream-reset`',
        '`connection_keepalive`, off',
      ],
      [
        ['proxy/upstreams/multiplexed.ts', 'idleMs'],
        'ms',
        'An HTTP/2 connection to an endpoint without a request: GOAWAY, closed',
        '`idle_timeout` 1 h',
      ],
      [
        ['proxy/upstreams/upstream-http1.ts', 'defaultIdleMs'],
        'ms',
        'An HTTP/1 connection to an endpoint that says nothing of its own time (`Keep-Alive: timeout`): closed',
        '`idle_timeout` 1 h',
      ],
    ],
  },
  {
    title: 'HTTP/1',
    above:
      'For each message. A request beyond a limit is answered and its connection closed; an answer of an endpoint beyond it is 502 `upstream-invalid`.',
    from: http1,
    rows: [
      ['maxLineBytes', 'bytes', '414 `uri-too-long`', '–'],
      ['maxHeadBytes', 'bytes', '431 `header-too-large`', '`max_request_headers_kb` 60 KiB'],
      ['maxFields', 'count', '431 `header-too-large`', '`max_headers_count` 100'],
      ['maxTrailerBytes', 'bytes', '431 `header-too-large`, or the answer that has begun is broken off', 'with the headers'],
      ['maxExtensionBytes', 'bytes', '400 `bad-request`', '–'],
      ['maxInformational', 'count', '502 `upstream-invalid`', '–'],
    ],
  },
  {
    title: 'HTTP/2',
    above: `For each connection, and between two proxies of the mesh where the second number stands. What ends a stream before it is a request is counted in \`weft_requests_refused_total\`, what ends a connection (GOAWAY) in \`weft_connections_failed_total\`, each with its reason, and logged once a minute at most.`,
    from: http2,
    between: hopLimits,
    rows: [
      [
        'maxHeadBytes',
        'bytes',
        'Request: 431 `header-too-large`. Answer: reset, 502 `upstream-invalid`',
        '`max_request_headers_kb` 60 KiB',
      ],
      ['maxFields', 'count', 'As above', '`max_headers_count` 100'],
      ['maxTrailerBytes', 'bytes', 'Reset ENHANCE_YOUR_CALM', 'with the headers'],
      ['maxBlockBytes', 'bytes', 'GOAWAY ENHANCE_YOUR_CALM', '–'],
      ['maxBlockFrames', 'count', 'GOAWAY ENHANCE_YOUR_CALM', 'fixed since CVE-2024-27919'],
      ['maxOpenHeadBytes', 'bytes', 'Reset REFUSED_STREAM, `overload`', '–'],
      ['maxStreams', 'count', 'Reset REFUSED_STREAM, `overload`', '`max_concurrent_streams`, guidance 100'],
      ['assumedMaxStreams', 'count', 'Not opened before the peer says how many it takes', '–'],
      ['maxOpened', 'count', 'Another connection is made, sixteen at most; then requests wait', '`max_concurrent_streams` 1,024 upstream'],
      ['maxInformational', 'count', 'Reset, 502 `upstream-invalid`', '–'],
      ['maxFrameBytes', 'bytes', 'GOAWAY FRAME_SIZE_ERROR', '16 KiB'],
      ['streamWindow', 'bytes', 'Reset FLOW_CONTROL_ERROR', '`initial_stream_window_size`, guidance 64 KiB'],
      ['connectionWindow', 'bytes', 'GOAWAY FLOW_CONTROL_ERROR', '`initial_connection_window_size`, guidance 1 MiB'],
      [
        'maxHeldBytes',
        'bytes',
        'No further credit for the connection until readers take what is held',
        '`per_connection_buffer_limit_bytes`, guidance 32 KiB',
      ],
      ['maxQueuedBytes', 'bytes', 'The endpoint gets no credit until the reader goes on', 'as above'],
      ['headerTableBytes', 'bytes', 'Entries leave the table', '`hpack_table_size` 4 KiB'],
      [
        'noiseBurst',
        'count',
        'Frames that carry nothing: GOAWAY ENHANCE_YOUR_CALM',
        '`max_consecutive_inbound_frames_with_empty_payload` 1 and its kin',
      ],
      ['noisePerSecond', 'count', 'So many are forgiven', '–'],
      [
        'resetBurst',
        'count',
        'Streams that end before they are answered: GOAWAY ENHANCE_YOUR_CALM',
        '`premature_reset_total_stream_count` 500',
      ],
      ['resetsPerSecond', 'count', 'So many are forgiven', '–'],
      ['maxReplies', 'count', 'Replies that the peer does not read: GOAWAY ENHANCE_YOUR_CALM', '`max_outbound_control_frames` 1,000'],
    ],
  },
  {
    title: 'Opaque bytes',
    rows: [
      [
        ['proxy/callers/arrival.ts', 'silenceMs'],
        'ms',
        'The first byte of a caller where plaintext is taken and its server may speak first: taken as plaintext',
        '`listener_filters_timeout` 15 s',
      ],
      [
        ['proxy/callers/opaque.ts', 'usualIdleMs'],
        'ms',
        'A connection on which nothing passes, where Envoy’s `idle_timeout` says nothing else: closed, `idle-timeout`',
        '`idle_timeout` 1 h',
      ],
      [
        ['proxy/callers/opaque.ts', 'helloMs'],
        'ms',
        'The first message of TLS, by whose server name it is routed: broken off, `no-route`',
        '`listener_filters_timeout` 15 s',
      ],
      [
        ['wire/detect/client-hello.ts', 'maxHelloBytes'],
        'bytes',
        'Of that message: its name counts as absent',
        '`max_client_hello_size` 16 KiB',
      ],
      [
        ['proxy/callers/opaque.ts', 'outsideMs'],
        'ms',
        'A host outside the mesh that does not answer: broken off, `connect-timeout`',
        '`connect_timeout` 5 s',
      ],
      [
        ['io/net/kept-buffers.ts', 'keptBytes'],
        'bytes',
        'A large buffer for reading; without one reads are of 64 KiB at most',
        '`per_connection_buffer_limit_bytes` 1 MiB, guidance 32 KiB',
      ],
      [['io/net/kept-buffers.ts', 'mostKept'], 'count', 'Such buffers in all', '–'],
      [['io/net/pour.ts', 'mostHeld'], 'count', 'Such buffers of one connection and way: the sender waits', '–'],
      [['wire/proxy-protocol/v1.ts', 'maxBytes'], 'bytes', 'A PROXY header of version 1: broken off, `proxy-header-invalid`', '107 bytes'],
      [['wire/proxy-protocol/v2.ts', 'maxBodyBytes'], 'bytes', 'One of version 2, behind its 16 bytes: as above', '64 KiB'],
    ],
  },
  {
    title: 'DNS and UDP',
    rows: [
      [['wire/dns/name.ts', 'maxNameBytes'], 'bytes', 'FORMERR', '–'],
      [['wire/dns/read.ts', 'maxRecords'], 'count', 'The reply is not used: SERVFAIL', '–'],
      [['proxy/dns/cache.ts', 'mostEntries'], 'count', 'The oldest answer is forgotten', '–'],
      [['proxy/dns/outside.ts', 'mostNames'], 'count', 'The name is answered without an address of its own', '–'],
      [['io/dns-server.ts', 'idleMs'], 'ms', 'A DNS connection over TCP without a question: closed', '–'],
      [['io/dns-server.ts', 'mostOwed'], 'count', 'Answers owed on one of them; it is not read until they left', '–'],
      [['wire/capsule.ts', 'maxDatagramBytes'], 'bytes', 'Of one datagram between proxies: its session is broken off', '–'],
      [
        ['io/udp/sessions.ts', 'mostSessions'],
        'count',
        'Senders to one socket of a listener: the session that was silent for longest ends',
        'circuit breakers',
      ],
      [['io/workload/datagrams.ts', 'mostSessions'], 'count', 'Flows of one captured program: as above', '–'],
      [
        ['proxy/callers/caller-udp.ts', 'usualIdleMs'],
        'ms',
        'A session in which nothing passes, where `idle_timeout` says nothing else: ended',
        '`idle_timeout` 1 min',
      ],
      [
        ['proxy/callers/caller-udp.ts', 'mostWaiting'],
        'count',
        'Datagrams of a session whose way is not open yet: dropped, counted (`flow="dropped"`)',
        '`max_buffered_datagrams` 1,024',
      ],
      [['proxy/callers/caller-udp.ts', 'mostWaitingBytes'], 'bytes', 'Of those together: as above', '`max_buffered_bytes` 16 KiB'],
      [['proxy/callers/caller-udp.ts', 'endingMs'], 'ms', 'The other end of a session that is over: its stream is reset', '–'],
    ],
  },
  {
    title: 'Control plane',
    rows: [
      [['io/grpc/serve.ts', 'maxRequestBytes'], 'bytes', 'A message of a proxy (xDS, metrics, certificates): RESOURCE_EXHAUSTED', '–'],
      [['io/grpc/connect.ts', 'maxMessageBytes'], 'bytes', 'A message of the control plane: the stream is opened again with back-off', '–'],
      [['io/http-server.ts', 'maxUnread'], 'bytes', 'A watch whose reader falls so far behind is ended; it reads anew', '–'],
      [['control/api/document.ts', 'maxDepth'], 'count', '400', '–'],
      [['control/api/document.ts', 'maxValues'], 'count', '413', '–'],
      [['control/api/document.ts', 'maxEntries'], 'count', 'Of one list or mapping: 413', '–'],
      [['control/api/patches/json-patch.ts', 'maxSteps'], 'count', '413', '–'],
      [['control/api/patches/json-patch.ts', 'maxCopied'], 'bytes', 'Of all that a patch copies: 413', '–'],
      [
        ['control/api/patches/json-patch.ts', 'maxTouched'],
        'count',
        'Entries of lists and mappings that its operations go through: 413',
        '–',
      ],
    ],
  },
]

export function limitsPage(madeBy) {
  return `${madeBy}# Limits

Every bound of the proxy and the control plane that a peer can meet: how much is taken, and what happens beyond. Envoy's column has its default, or where
its [guidance for edges](https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge) says otherwise, that. Names in code style after a status are
[failures](failures.md), which stand in the answer and in the \`reason\` of the metrics.
${sections.map(section).join('')}`
}

function section({ title, above, from = {}, between, rows }) {
  const told = rows.filter(([limit, unit]) => typeof limit === 'string' && unit !== '').map(([limit]) => limit)
  for (const key of Object.keys(from)) if (!told.includes(key)) throw new Error(`docs/reference/limits.md: ${title} says nothing of ${key}`)
  for (const key of told) if (!(key in from)) throw new Error(`docs/reference/limits.md: ${title} has no limit ${key} any more`)
  const lines = rows.map(([limit, unit, beyond, envoy]) => {
    if (unit === '') return `| ${limit} | none | ${beyond} | ${envoy} |`
    const [name, value] = typeof limit === 'string' ? [limit, from[limit]] : [`${limit[1]}, ${limit[0]}`, constant(...limit)]
    const second = between?.[limit] === undefined ? '' : `; ${written(between[limit], unit)}`
    return `| \`${name.split(', ')[0]}\`${typeof limit === 'string' ? '' : ` of [${limit[0]}](../../src/${limit[0]})`} | ${written(value, unit)}${second} | ${beyond} | ${envoy} |`
  })
  return `\n## ${title}\n${above === undefined ? '' : `\n${above}\n`}\n| Limit | Default | Beyond it | Envoy |\n| --- | --- | --- | --- |\n${lines.join('\n')}\n`
}

/** A number that a module keeps to itself, read from its text. */
function constant(file, name) {
  const found = new RegExp(`^(?:export )?const ${name} = ([0-9_ *]+)$`, 'm').exec(readFileSync(join(root, 'src', file), 'utf8'))
  if (found === null) throw new Error(`docs/reference/limits.md: src/${file} has no number ${name} any more`)
  return found[1].split('*').reduce((product, factor) => product * Number(factor.trim().replaceAll('_', '')), 1)
}

function written(value, unit) {
  if (unit === 'count') return value.toLocaleString('en')
  if (unit === 'bytes') {
    if (value % 1_048_576 === 0) return `${value / 1_048_576} MiB`
    return value % 1024 === 0 ? `${value / 1024} KiB` : `${value.toLocaleString('en')} bytes`
  }
  if (value % 3_600_000 === 0) return `${value / 3_600_000} h`
  if (value % 60_000 === 0) return `${value / 60_000} min`
  return value % 1000 === 0 ? `${value / 1000} s` : `${value} ms`
}

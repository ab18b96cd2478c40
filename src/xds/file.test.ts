import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadInput } from '#base/note'
import { type FileConfig, readFileConfig } from './file.ts'

const read = (text: string): FileConfig => readFileConfig('mesh.yaml', text)
const problemsOf = (text: string): readonly string[] => {
  try {
    read(text)
  } catch (thrown) {
    if (thrown instanceof BadInput) return thrown.message.split('\n')
    throw thrown
  }
  return []
}

const bootstrap = `node: { id: orders-1, cluster: orders }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
static_resources:
  listeners:
    - name: front
      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: front
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: { prefix: / }
                          route: { cluster: catalog, timeout: 15s }
  clusters:
    - name: catalog
      lb_policy: LEAST_REQUEST
      load_assignment:
        cluster_name: catalog
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 10.0.0.1, port_value: 8080 } } }
              - endpoint: { address: { socket_address: { address: 10.0.0.2, port_value: 8080 } } }
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          common_tls_context:
            tls_certificates:
              - certificate_chain: { filename: cert.pem }
                private_key: { filename: key.pem }
            validation_context:
              trusted_ca: { filename: ca.pem }
              match_typed_subject_alt_names:
                - { san_type: URI, matcher: { exact: "spiffe://mesh.local/ns/app/sa/catalog" } }
`

const lineOf = (part: string, text = bootstrap): number => text.split('\n').findIndex(line => line.includes(part)) + 1

test('a static bootstrap becomes a view: routes by name, endpoints over the TLS of the mesh, certificates by file', () => {
  const { view, own, roots, node, adminPort, needsCertificate } = read(bootstrap)
  const { front } = view.listeners
  assert.equal(front?.direction, 'outbound')
  assert.equal(front?.port, 0)
  assert.equal(front?.routes, 'front')
  assert.equal(view.routes['front']?.hosts[0]?.routes[0]?.timeouts?.requestMs, 15_000)
  const { catalog } = view.backends
  assert.deepEqual(catalog?.identities, ['spiffe://mesh.local/ns/app/sa/catalog'])
  assert.equal(catalog?.balance, 'least-request')
  assert.equal(catalog?.type, 'endpoints')
  assert.equal(catalog?.port, 8080)
  assert.deepEqual(
    view.endpoints['catalog']?.endpoints.map(({ host, mtls }) => [host, mtls]),
    [
      ['10.0.0.1', true],
      ['10.0.0.2', true],
    ],
  )
  assert.deepEqual(own, { cert: { file: 'cert.pem' }, key: { file: 'key.pem' } })
  assert.deepEqual(roots, { roots: { file: 'ca.pem' } })
  assert.deepEqual(node, { id: 'orders-1', cluster: 'orders' })
  assert.equal(adminPort, 9901)
  assert.equal(needsCertificate, true)
})

test('the same resources in a list with their types, over several documents, are the same view', () => {
  const typed = (type: string, fields: object) => JSON.stringify([{ '@type': `type.googleapis.com/envoy.${type}`, ...fields }])
  const { view, needsCertificate } = read(
    [
      typed('config.cluster.v3.Cluster', { name: 'db', type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } }),
      typed('config.endpoint.v3.ClusterLoadAssignment', {
        cluster_name: 'db',
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '10.0.0.3', port_value: 5432 } } } }] }],
      }),
      typed('config.listener.v3.Listener', {
        name: 'db',
        address: { socket_address: { address: '127.0.0.1', port_value: 15432 } },
        filter_chains: [
          {
            filters: [
              {
                name: 'tcp',
                typed_config: {
                  '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                  stat_prefix: 'db',
                  cluster: 'db',
                },
              },
            ],
          },
        ],
      }),
    ].join('\n---\n'),
  )
  assert.deepEqual(view.listeners['db']?.backends, [{ backend: 'db', weight: 1 }])
  assert.equal(view.endpoints['db']?.endpoints[0]?.host, '10.0.0.3')
  assert.equal(needsCertificate, false)
})

test('a chain of clusters is the backend of its name, with its own endpoints and the one that helps out', () => {
  const plain = (name: string, port: number) => `    - name: ${name}
      load_assignment:
        cluster_name: ${name}
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 10.0.0.1, port_value: ${port} } } } }] }]
`
  const chain = `    - name: catalog
      lb_policy: CLUSTER_PROVIDED
      cluster_type:
        name: envoy.clusters.aggregate
        typed_config: { "@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [catalog+own, spare] }
`
  const text = (clusters: string) => `${bootstrap.slice(0, bootstrap.indexOf('  clusters:'))}  clusters:\n${clusters}`
  const { view } = read(text(plain('catalog+own', 1) + chain + plain('spare', 2)))
  assert.deepEqual(Object.keys(view.backends).sort(), ['catalog', 'spare'])
  assert.equal(view.backends['catalog']?.fallback, 'spare')
  assert.equal(view.endpoints['catalog']?.backend, 'catalog')
  assert.equal(view.endpoints['catalog']?.endpoints[0]?.port, 1)
  assert.match(problemsOf(text(plain('catalog+own', 1) + chain)).join(), /there is no cluster "spare" in this file, to which it falls back/)
})

test('one plaintext endpoint on 127.0.0.1 is the workload itself', () => {
  const plain = bootstrap
    .slice(0, bootstrap.indexOf('      transport_socket:'))
    .replace('10.0.0.1', '127.0.0.1')
    .split('\n')
    .filter(line => !line.includes('10.0.0.2'))
    .join('\n')
  assert.equal(read(plain).view.backends['catalog']?.type, 'local')
})

test('a field that the message does not have is named with its line', () => {
  const text = bootstrap.replace('lb_policy: LEAST_REQUEST', 'lb_polciy: LEAST_REQUEST')
  assert.deepEqual(problemsOf(text), [
    `mesh.yaml:${lineOf('lb_polciy', text)}:7: static_resources.clusters[0].lb_polciy: envoy.config.cluster.v3.Cluster has no such field`,
  ])
})

test('every value of the wrong kind is named with its line, inside extensions too', () => {
  const text = bootstrap.replace('timeout: 15s', 'timeout: soon').replace('port_value: 0', 'port_value: none')
  const [port, timeout, ...others] = problemsOf(text)
  assert.match(port!, new RegExp(`^mesh\\.yaml:${lineOf('port_value: none', text)}:\\d+: .*socket_address\\.port_value: `))
  assert.match(timeout!, new RegExp(`^mesh\\.yaml:${lineOf('soon', text)}:\\d+: .*route_config.*route\\.timeout: `))
  assert.deepEqual(others, [])
})

test('what the proxy does not carry out is refused by its field, as over xDS', () => {
  const text = bootstrap
    .replace('lb_policy: LEAST_REQUEST', 'lb_policy: CLUSTER_PROVIDED')
    .replace('                stat_prefix: front', '                stat_prefix: front\n                stream_idle_timeout: 5s')
  assert.deepEqual(problemsOf(text), [
    `mesh.yaml:${lineOf('stream_idle_timeout', text)}:17: static_resources.listeners[0].filter_chains[0].filters[0].stream_idle_timeout: not carried out by this proxy`,
    `mesh.yaml:${lineOf('CLUSTER_PROVIDED', text)}:7: static_resources.clusters[0].lb_policy: only ROUND_ROBIN, RANDOM, LEAST_REQUEST, RING_HASH and MAGLEV are carried out`,
  ])
})

test('a refusal about the one transport socket of a cluster names it as the file does', () => {
  const text = bootstrap.replace(/ {14}match_typed_subject_alt_names:\n.*\n/, '')
  const [problem] = problemsOf(text)
  assert.match(
    problem!,
    new RegExp(
      `^mesh\\.yaml:${lineOf('transport_socket:', text)}:7: static_resources\\.clusters\\[0\\]\\.transport_socket: the identities`,
    ),
  )
})

test('an extension that the proxy does not have is named', () => {
  const text = bootstrap.replace('envoy.extensions.filters.http.router.v3.Router', 'envoy.extensions.filters.http.lua.v3.Lua')
  assert.match(
    problemsOf(text).join(),
    /:\d+:\d+: .*@type: type\.googleapis\.com\/envoy\.extensions\.filters\.http\.lua\.v3\.Lua is not carried out/,
  )
})

test('a route to a cluster that is not in the file is refused', () => {
  const text = bootstrap.replace('route: { cluster: catalog', 'route: { cluster: catalogue')
  assert.deepEqual(problemsOf(text), [
    `mesh.yaml:${lineOf('- name: front')}:7: route "front": there is no cluster "catalogue" in this file`,
  ])
})

test('a second certificate is refused: a proxy from a file has one', () => {
  const cluster = bootstrap.slice(bootstrap.indexOf('    - name: catalog'))
  const text = `${bootstrap}${cluster.replaceAll('catalog', 'reviews').replace('key.pem', 'other.pem')}`
  assert.match(problemsOf(text).join(), /transport_socket\.common_tls_context\.tls_certificates\[0\]: another certificate than elsewhere/)
})

test('what belongs to a control plane is refused with what to do instead', () => {
  assert.match(problemsOf(`dynamic_resources: {}\n${bootstrap}`).join(), /^mesh\.yaml:1:1: dynamic_resources: .*weft run/)
})

test('YAML that is none, and a file without a listener, are told with their place', () => {
  assert.match(problemsOf('static_resources: [').join(), /^mesh\.yaml:\d+:\d+: not valid YAML/)
  assert.match(problemsOf('node: {}\nnode: {}\n').join(), /^mesh\.yaml:2:1: not valid YAML: Map keys must be unique/)
  assert.deepEqual(problemsOf('? '.repeat(1 << 19)), ['mesh.yaml:1:1: is nested deeper than 64 levels'])
  const many = problemsOf(Array.from({ length: 50_000 }, (_, at) => `k${at}: 1\n`).join(''))
  assert.deepEqual([many.length, many.at(-1)], [101, 'mesh.yaml:101:1: k100: from here on, 49900 more mistakes'])
  assert.match(problemsOf(`static_resources: [${'a,'.repeat(1 << 19)}]`).join(), /^mesh\.yaml:1:1: has more than 1000000 keys/)
  assert.match(problemsOf('static_resources: {}').join(), /^mesh\.yaml:1:1: it has no listener/)
})

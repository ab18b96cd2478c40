/** v1 Service: a name and a virtual IP for a set of workloads. */

import { z } from 'zod'
import { age, conditions, dnsLabel, intOrString, mapList, portNumber, stringMap, atomicList, rules } from '../fields.ts'
import type { Broken, Kind, Resource } from '../kind.ts'

const port = z.strictObject({
  name: dnsLabel()
    .optional()
    .describe(
      'Name of the port; required when there are several. A prefix such as http-, grpc- or tcp- tells the protocol where appProtocol does not.',
    ),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']).default('TCP').describe('The transport.'),
  appProtocol: z
    .string()
    .optional()
    .describe(
      'What is spoken: http, https, grpc, tcp, tls, kubernetes.io/h2c, kubernetes.io/ws, kubernetes.io/wss. Absent: taken from the port name, from the workload, else detected.',
    ),
  port: portNumber().describe('The port that clients call.'),
  targetPort: intOrString().optional().describe('Number or name of the port of the workloads; absent: the same as port.'),
  nodePort: z.int32().min(0).max(65535).optional().describe('The port on every node, for type NodePort and LoadBalancer.'),
})

const loadBalancerIngress = z.strictObject({
  ip: z.string().optional().describe('Address of the load balancer.'),
  ipMode: z.string().optional().describe('VIP or Proxy.'),
  hostname: z.string().optional().describe('Name of the load balancer.'),
  ports: atomicList(
    z.strictObject({
      port: z.int32().describe('The port.'),
      protocol: z.string().describe('The transport.'),
      error: z.string().optional().describe('Why the port could not be provided.'),
    }),
  )
    .optional()
    .describe('Ports of the load balancer.'),
})

type ServiceShape = {
  ports?: readonly { name?: string | undefined; port: number; protocol: string }[] | undefined
  type: string
  externalName?: string | undefined
}

function* namedPorts(spec: ServiceShape): Iterable<Broken> {
  const ports = spec.ports ?? []
  const names = new Map<string, number>()
  const numbers = new Map<string, number>()
  for (const [at, { name, port, protocol }] of ports.entries()) {
    if (name === undefined && ports.length > 1)
      yield { path: ['ports', at], says: 'give the port a name: a Service with several ports needs one on each' }
    if (name !== undefined && names.has(name))
      yield { path: ['ports', at, 'name'], says: `the name "${name}" is taken by ports[${names.get(name)}]; port names must differ` }
    if (name !== undefined) names.set(name, at)
    const key = `${protocol}/${port}`
    if (numbers.has(key))
      yield { path: ['ports', at, 'port'], says: `${key} is taken by ports[${numbers.get(key)}]; a port may be listed once` }
    numbers.set(key, at)
  }
  if (spec.type === 'ExternalName' && !spec.externalName)
    yield { path: ['externalName'], says: 'is needed for type ExternalName: write the DNS name' }
}

const spec = z
  .strictObject({
    selector: stringMap().optional().describe('Labels of the workloads that serve it, in the same namespace; all must match.'),
    // As core/v1 publishes it: kubectl before 1.28 makes its strategic merge patch by these, and the API merges by `port` too.
    ports: mapList(port, 'port', 'protocol')
      .meta({ 'x-kubernetes-patch-strategy': 'merge', 'x-kubernetes-patch-merge-key': 'port' })
      .optional()
      .describe('The ports that it offers.'),
    type: z
      .enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'])
      .default('ClusterIP')
      .describe('How it is reached from outside.'),
    clusterIP: z.string().optional().describe('The virtual IP, of 240.77.0.0/16; assigned when absent, "None" for a headless service.'),
    clusterIPs: atomicList(z.string()).optional().describe('The virtual IPs, one per address family; the first is clusterIP.'),
    ipFamilies: atomicList(z.enum(['IPv4', 'IPv6']))
      .optional()
      .describe('Address families of the virtual IPs.'),
    ipFamilyPolicy: z.enum(['SingleStack', 'PreferDualStack', 'RequireDualStack']).optional().describe('One address family or two.'),
    externalIPs: atomicList(z.string()).optional().describe('Addresses outside the cluster that lead here too.'),
    externalName: z.string().optional().describe('The DNS name that it stands for, with type ExternalName.'),
    externalTrafficPolicy: z.enum(['Cluster', 'Local']).optional().describe('Whether traffic from outside may cross nodes.'),
    internalTrafficPolicy: z.enum(['Cluster', 'Local']).optional().describe('Whether traffic from inside may cross nodes.'),
    trafficDistribution: z.string().optional().describe('A preference such as PreferClose.'),
    healthCheckNodePort: z.int32().optional().describe('Port of the health check of a load balancer.'),
    loadBalancerIP: z.string().optional().describe('Address asked of the load balancer.'),
    loadBalancerClass: z.string().optional().describe('Which load balancer implementation serves it.'),
    loadBalancerSourceRanges: atomicList(z.string()).optional().describe('Client address ranges that the load balancer admits.'),
    allocateLoadBalancerNodePorts: z.boolean().optional().describe('Whether node ports are made for type LoadBalancer.'),
    publishNotReadyAddresses: z.boolean().optional().describe('Whether workloads that are not ready are published in DNS.'),
    sessionAffinity: z.enum(['None', 'ClientIP']).optional().describe('Whether a client keeps its endpoint.'),
    sessionAffinityConfig: z
      .strictObject({
        clientIP: z
          .strictObject({ timeoutSeconds: z.int32().min(1).max(86400).optional().describe('How long a client keeps its endpoint.') })
          .optional()
          .describe('Settings of affinity by client address.'),
      })
      .optional()
      .describe('Settings of sessionAffinity.'),
  })
  .check(rules<ServiceShape>(namedPorts))

export type ServiceSpec = z.infer<typeof spec>
export type Service = Resource<ServiceSpec>

const ports = (resource: Resource): string =>
  ((resource.spec as ServiceSpec | undefined)?.ports ?? []).map(entry => `${entry.port}/${entry.protocol ?? 'TCP'}`).join(',') || '<none>'

export const service: Kind = {
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  description:
    'A Service is a name and a virtual IP for the workloads whose labels match its selector. Clients call it by its plain name; routes attach to it by parentRefs and lead to it by backendRefs.',
  schema: z.strictObject({
    spec: spec.optional().describe('What the service offers and who serves it.'),
    status: z
      .strictObject({
        conditions: conditions().optional().describe('What is known of it.'),
        loadBalancer: z
          .strictObject({ ingress: atomicList(loadBalancerIngress).optional().describe('Where the load balancer is reached.') })
          .optional()
          .describe('State of the load balancer.'),
      })
      .optional()
      .describe('What the platform reports.'),
  }),
  columns: [
    {
      name: 'Type',
      type: 'string',
      description: 'How it is reached from outside',
      value: r => (r.spec as ServiceSpec | undefined)?.type ?? 'ClusterIP',
    },
    {
      name: 'Cluster-IP',
      type: 'string',
      description: 'The virtual IP',
      value: r => (r.spec as ServiceSpec | undefined)?.clusterIP ?? '<none>',
    },
    { name: 'Port(s)', type: 'string', description: 'The ports that it offers', value: ports },
    age,
    {
      name: 'Selector',
      type: 'string',
      description: 'Labels of the workloads that serve it',
      priority: 1,
      value: r =>
        Object.entries((r.spec as ServiceSpec | undefined)?.selector ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(',') || '<none>',
    },
  ],
}

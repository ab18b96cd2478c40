/** Workload: one running instance in the mesh, written by its proxy's registration. */

import { z } from 'zod'
import { ageOf, tellDuration } from '../age.ts'
import { age, conditionColumn, conditions, dnsLabel, mapList, objectName, portNumber, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const port = z.strictObject({
  name: dnsLabel().describe('Name, to which targetPort of a Service may refer.'),
  port: portNumber().describe('Where the process listens.'),
  protocol: z
    .enum(['http', 'http2', 'grpc', 'tcp', 'tls', 'udp', 'detect'])
    .default('detect')
    .describe('What is spoken; detect: found out from the first bytes. Ports of udp have their own numbers.'),
  bind: z
    .strictObject({
      host: z.string().min(1).describe('Address on which its proxy takes mutual TLS.'),
      port: portNumber().describe('Port on which its proxy takes mutual TLS.'),
    })
    .optional()
    .describe('Where its proxy listens for the mesh; absent: the process is reached directly, in plaintext.'),
})

const locality = z.strictObject({
  region: z.string().describe('Region.'),
  zone: z.string().describe('Zone in the region.'),
  host: z.string().optional().describe('Machine in the zone.'),
})

const spec = z.strictObject({
  service: dnsLabel().describe('The service that it belongs to.'),
  identity: z
    .string()
    .regex(/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/, {
      message: 'must be a SPIFFE id such as spiffe://weft.local/ns/default/sa/orders',
    })
    .describe('The SPIFFE id that it proves.'),
  address: z.string().min(1).optional().describe('Where ports without bind are reached, in plaintext.'),
  ports: mapList(port, 'name')
    .max(64)
    .check(
      rules(function* (list) {
        for (const [at, { name }] of list.entries())
          if (list.findIndex(other => other.name === name) < at)
            yield { path: [at, 'name'], says: `the name "${name}" is taken; port names must differ` }
      }),
    )
    .default([])
    .describe('Where it can be called.'),
  locality: locality.optional().describe('Where it runs.'),
  weight: z
    .int()
    .min(0)
    .max(1000)
    .optional()
    .describe('Its part of the traffic beside other workloads of the service; 0 gets nothing. Absent: 1.'),
  gateway: z
    .strictObject({
      name: objectName().describe('The Gateway, in the same namespace.'),
      address: z.string().min(1).describe('Where callers outside the mesh reach it.'),
    })
    .optional()
    .describe('The Gateway that it carries out, instead of serving a program.'),
})
export type WorkloadSpec = z.infer<typeof spec>

const status = z.strictObject({
  health: z.enum(['healthy', 'degraded', 'unhealthy', 'draining']).optional().describe('Whether it is given traffic.'),
  conditions: conditions().optional().describe('Ready; and Revoked of one that is believed no more.'),
  meshAddress: z
    .string()
    .regex(/^240\.80\.\d{1,3}\.\d{1,3}$/, { message: 'must be of 240.80.0.0/16' })
    .optional()
    .describe('An address of the mesh that is its own, where its ports are called without its Service: see workloadAddresses of the Mesh.'),
  proxy: z
    .strictObject({
      connected: z.boolean().describe('Whether its proxy is connected to the control plane.'),
      version: z.string().optional().describe('Version of its proxy.'),
      admin: z.string().optional().describe('URL of the admin port of its proxy.'),
      lastSeen: z.string().meta({ format: 'date-time' }).optional().describe('When its proxy was last heard of.'),
    })
    .optional()
    .describe('State of its proxy.'),
  certificate: z
    .strictObject({
      serial: z.string().describe('Its serial number, in hexadecimal.'),
      notAfter: z.string().meta({ format: 'date-time' }).describe('When it ends.'),
      lateFrom: z.string().meta({ format: 'date-time' }).describe('When its proxy should long have got another.'),
    })
    .optional()
    .describe('The certificate that its proxy last said to show.'),
})
export type WorkloadStatus = z.infer<typeof status>
export type WorkloadResource = Resource<WorkloadSpec, WorkloadStatus>

/** Whether others believe it: of whom is revoked since when and why, of whom is late with its certificate until when. Empty: it never said which it shows. */
function trustOf({ status }: WorkloadResource, now: number): string {
  const revoked = status?.conditions?.find(({ type, status: holds }) => type === 'Revoked' && holds === 'True')
  if (revoked !== undefined) return `revoked ${ageOf(revoked.lastTransitionTime, now)} ago: ${revoked.reason}`
  const { notAfter, lateFrom } = status?.certificate ?? {}
  if (notAfter === undefined || lateFrom === undefined) return ''
  const left = Date.parse(notAfter) - now
  if (left <= 0) return `expired ${tellDuration(-left)} ago`
  return Date.parse(lateFrom) <= now ? `ends in ${tellDuration(left)}` : 'ok'
}

export const workload: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'Workload',
  plural: 'workloads',
  singular: 'workload',
  shortNames: ['wl'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A Workload is one running instance: where it is reached, whom it proves to be and how it is. "weft run" registers it; Services select it by its labels.',
  schema: z.strictObject({
    spec: spec.describe('Where it is reached and whom it proves to be.'),
    status: status.optional().describe('How it is.'),
  }),
  columns: [
    { name: 'Service', type: 'string', description: 'The service that it belongs to', value: r => (r as WorkloadResource).spec?.service },
    {
      name: 'Health',
      type: 'string',
      description: 'Whether it is given traffic',
      value: r => (r as WorkloadResource).status?.health ?? 'unknown',
    },
    {
      name: 'Ports',
      type: 'string',
      description: 'Where it can be called',
      value: r => ((r as WorkloadResource).spec?.ports ?? []).map(each => `${each.port}/${each.protocol ?? 'detect'}`).join(','),
    },
    {
      name: 'Connected',
      type: 'boolean',
      description: 'Whether its proxy is connected',
      value: r => (r as WorkloadResource).status?.proxy?.connected ?? false,
    },
    {
      name: 'Trust',
      type: 'string',
      description: 'Whether others believe it: revoked since when and why, or how long its certificate lasts where another is late',
      value: (r, now) => trustOf(r as WorkloadResource, now),
    },
    age,
    {
      name: 'Certificate Until',
      type: 'string',
      description: 'When its certificate ends',
      priority: 1,
      value: r => (r as WorkloadResource).status?.certificate?.notAfter,
    },
    {
      name: 'Address',
      type: 'string',
      description: 'Its own address in the mesh',
      priority: 1,
      value: r => (r as WorkloadResource).status?.meshAddress,
    },
    { name: 'Identity', type: 'string', description: 'Its SPIFFE id', priority: 1, value: r => (r as WorkloadResource).spec?.identity },
    { ...conditionColumn('Ready'), priority: 1 },
  ],
}

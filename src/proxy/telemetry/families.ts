/** The families of what one data plane counts of what passes, with what each of them is. */

import {
  accessLabels,
  authorizedLabels,
  bytesLabels,
  closedLabels,
  codedLabels,
  connectionLabels,
  detectionLabels,
  durationLabels,
  egressLabels,
  failedLabels,
  faultLabels,
  limitLabels,
  mirroredLabels,
  refusedLabels,
  requestLabels,
  udpDatagramLabels,
  udpSessionLabels,
  type MetricFamily,
  metricNames,
} from '#model/metrics'
import type { Family, Registry } from '../registry.ts'

const told = {
  requests: ['counter', 'Requests answered', requestLabels],
  duration: ['histogram', 'Time from the head of a request to the end of its answer', durationLabels],
  bytes: ['counter', 'Body bytes of HTTP, all bytes of TCP', bytesLabels],
  opened: ['counter', 'TCP connections carried, and sessions of UDP by the time they end', connectionLabels],
  closed: ['counter', 'TCP connections and sessions of UDP ended', closedLabels],
  active: ['gauge', 'TCP connections being carried now', connectionLabels],
  detections: ['counter', 'Connections by how their protocol was found out', detectionLabels],
  refused: ['counter', 'Streams of HTTP/2 that were refused before they were a request', refusedLabels],
  mirrored: ['counter', 'Copies of requests that went to a mirror, by what became of them', mirroredLabels],
  limited: ['counter', 'Requests and connections that a RateLimitPolicy judged, by what came of it', limitLabels],
  authorized: [
    'counter',
    'Requests and connections about which an external authorization service was asked, by what came of it',
    authorizedLabels,
  ],
  faults: ['counter', 'Requests that were broken on purpose', faultLabels],
  codedIn: ['counter', 'Bytes of bodies before they were compressed or decompressed', codedLabels],
  codedOut: ['counter', 'Bytes of the same bodies after it', codedLabels],
  access: ['counter', 'Decisions of AccessPolicies', accessLabels],
  egress: ['counter', 'Decisions about what leaves the mesh', egressLabels],
  failed: ['counter', 'HTTP/2 connections of callers ended for what they sent', failedLabels],
  udpSessions: ['counter', 'Flows of datagrams that the workload began', udpSessionLabels],
  udpDatagrams: ['counter', 'Datagrams carried', udpDatagramLabels],
  rejections: ['counter', 'Resources of the control plane that this proxy refused', ['type']],
  certificateExpiry: ['gauge', 'Seconds until the certificate of this workload expires', ['serial']],
} as const satisfies Partial<Record<keyof typeof metricNames, readonly [MetricFamily['type'], help: string, labels: readonly string[]]>>

type Name = keyof typeof told
export type Families = Readonly<Record<Name, Family>>

export function familiesIn(registry: Registry): Families {
  const names = Object.keys(told) as Name[]
  return Object.fromEntries(
    names.map(name => {
      const [type, help, labels] = told[name]
      return [name, registry.family(metricNames[name], type, help, labels)]
    }),
  ) as Families
}

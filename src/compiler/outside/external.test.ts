import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExternalService } from '#resources/weft'
import { findExternals } from './external.ts'
import type { Gathered } from '../gather.ts'
import type { ServicePort } from '../services/services.ts'

const external = (name: string, ...hosts: string[]): ExternalService =>
  ({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'ExternalService',
    metadata: { name, namespace: 'team' },
    spec: { hosts, ports: [{ port: 80, protocol: 'HTTP' }], resolution: 'DNS' },
  }) as ExternalService

test('an ExternalService does not take over the names of a Service, whoever is older, and says so', () => {
  const services = [{ service: 'web', namespace: 'shop', host: '240.77.1.1' }] as ServicePort[]
  const externalServices = [external('thief', 'web.shop', 'web.shop.svc', 'out.example'), external('all', 'web.shop')]
  const { ports, statuses } = findExternals({ externalServices } as unknown as Gathered, () => undefined, services)
  assert.deepEqual(
    ports.map(each => each.external?.host),
    ['out.example'],
  )
  const told = statuses.map(({ conditions = [] }) =>
    conditions.map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`),
  )
  assert.deepEqual(told, [
    [
      'Accepted=True Accepted: It can be called',
      'Conflicted=True HostConflict: web.shop is a name of Service shop/web; web.shop.svc is a name of Service shop/web',
    ],
    [
      'Accepted=False HostConflict: web.shop is a name of Service shop/web',
      'Conflicted=True HostConflict: web.shop is a name of Service shop/web',
    ],
  ])
})

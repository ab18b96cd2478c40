import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readDocuments } from './read.ts'
import { tellProblem } from '#base/note'

const told = (kind: string, spec: object): string =>
  readDocuments(JSON.stringify({ apiVersion: 'weft.dev/v1alpha1', kind, metadata: { name: 'a', namespace: 'b' }, spec }), 'in.json')
    .problems.map(tellProblem)
    .join('\n')

describe('documents about what leaves the mesh', () => {
  const external = (spec: object) => told('ExternalService', { hosts: ['a.example'], ports: [{ port: 80 }], ...spec })
  const policy = (to: object, more: object = {}) =>
    told('EgressPolicy', { targetRefs: [{ kind: 'Namespace' }], rules: [{ to: [to] }], ...more })

  for (const [what, spec, says] of [
    ['the same host twice', { hosts: ['a.example', 'a.example'] }, /spec\.hosts\[1\]: repeats an earlier entry/],
    [
      'the same port twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80, protocol: 'TLS' },
        ],
      },
      /spec\.ports\[1\]\.port: is that of an earlier entry/,
    ],
    [
      'several ports without names',
      { ports: [{ port: 80 }, { name: 'b', port: 81 }] },
      /spec\.ports\[0\]\.name: is needed where there are several ports/,
    ],
    [
      'TLS begun for TLS',
      { ports: [{ port: 443, protocol: 'TLS', tls: { mode: 'Originate' } }] },
      /spec\.ports\[0\]\.tls: does not go with protocol TLS/,
    ],
    ['TLS that says nothing', { ports: [{ port: 80, tls: {} }] }, /spec\.ports\[0\]\.tls: must say something: write mode: Originate/],
    ['Static without endpoints', { resolution: 'Static' }, /spec\.endpoints: are needed with resolution Static/],
    [
      'a name as a Static endpoint',
      { resolution: 'Static', endpoints: [{ address: 'b.example' }] },
      /spec\.endpoints\[0\]\.address: must be an IPv4 address/,
    ],
    ['an exact host by original destination', { resolution: 'Original' }, /spec\.hosts\[0\]: an exact host has an address of the mesh/],
    [
      'a wildcard of opaque TCP',
      { hosts: ['*.a.example'], ports: [{ port: 5432, protocol: 'TCP' }] },
      /spec\.ports\[0\]\.protocol: nothing in TCP tells the names/,
    ],
    ['an address as a host', { hosts: ['a.example', '10.1.2.3'] }, /spec\.hosts\[1\]: is an address, which nobody asks DNS for/],
    ['the name of a Service', { hosts: ['web.shop.svc.cluster.local'] }, /spec\.hosts\[0\]: is a name that only Services of the mesh have/],
    ['names below all Services', { hosts: ['*.cluster.local'] }, /spec\.hosts\[0\]: is a name that only Services of the mesh have/],
    ['an upper-case host', { hosts: ['A.example'] }, /spec\.hosts\[0\]: .*lower case/],
  ] as const)
    test(`${what} in an ExternalService is refused by its field`, () => assert.match(external(spec), says))

  for (const [what, to, says] of [
    ['an empty destination', {}, /spec\.rules\[0\]\.to\[0\]: must say something/],
    [
      'hosts beside networks',
      { hosts: ['a.example'], ipBlocks: ['10.0.0.0/8'] },
      /spec\.rules\[0\]\.to\[0\]\.ipBlocks: does not go with hosts/,
    ],
    [
      'a path that no request has',
      { paths: [{ value: '/a/../b' }] },
      /spec\.rules\[0\]\.to\[0\]\.paths\[0\]\.value: is not in normal form/,
    ],
    ['a path without a slash', { paths: [{ value: 'a' }] }, /paths\[0\]\.value: must begin with \//],
    ['no network', { ipBlocks: ['here'] }, /ipBlocks\[0\]: must be an address or a network/],
  ] as const)
    test(`${what} in an EgressPolicy is refused by its field`, () => assert.match(policy(to), says))

  test('a policy that says nothing is refused, and targets that do not go together', () => {
    assert.match(told('EgressPolicy', { targetRefs: [{ kind: 'Mesh' }] }), /spec: give default, rules or both/)
    assert.match(
      policy({ ports: [1] }, { targetRefs: [{ kind: 'Workload', name: 'a' }] }),
      /targetRefs\[0\]\.name: does not go with kind Workload/,
    )
    assert.match(
      policy({ ports: [1] }, { targetRefs: [{ kind: 'Namespace', labels: { a: 'b' } }] }),
      /targetRefs\[0\]\.labels: do not go with kind Namespace/,
    )
  })

  test('what the guide shows is taken', () => {
    assert.equal(external({ ports: [{ port: 80, targetPort: 443, protocol: 'HTTP', tls: { mode: 'Originate' } }] }), '')
    assert.equal(policy({ hosts: ['*.debian.org'], ports: [80], methods: ['GET'], paths: [{ value: '/a' }] }, { default: 'Deny' }), '')
  })
})

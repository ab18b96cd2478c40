import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { BadInput } from '#base/note'
import { readOperatorsFile } from './operators-file.ts'

const problemsOf = (text: string): readonly string[] => {
  try {
    readOperatorsFile(text, 'operators.yaml')
    return []
  } catch (thrown) {
    assert.ok(thrown instanceof BadInput)
    return thrown.message.split('\n')
  }
}

test('the file that the guide shows is the example, and can be used as it stands', () => {
  const guide = readFileSync(new URL('../../docs/guide/operators.md', import.meta.url), 'utf8')
  const [, text = ''] = /```yaml\n(oidc:[^]*?)```/.exec(guide) ?? []
  const example = readFileSync(new URL('../../examples/operators/operators.yaml', import.meta.url), 'utf8')
  assert.equal(example.slice(example.indexOf('\n') + 1), text)
  const settings = readOperatorsFile(example, 'operators.yaml')
  assert.equal(settings.oidc?.issuer, 'https://login.example.com')
  assert.equal(settings.grants.length, 6)
  assert.equal(settings.limits.watches, 256)
})

test('an empty file is users with tokens alone, with the limits that hold unless said', () => {
  assert.deepEqual(readOperatorsFile('', 'operators.yaml'), {
    grants: [],
    limits: { requestsPerSecond: 500, burst: 5000, watches: 256, connections: 2048 },
    allowedOrigins: [],
    allowedHosts: [],
  })
})

test('what is wrong is told with line and field, all of it together', () => {
  assert.deepEqual(
    problemsOf(`oidc: { issuer: http://login.example.com, clientId: weft }
grants:
- { oidcUser: ann, oidcGroup: people, role: viewer }
- { oidcUser: ann, role: owner }
- { role: viewer }
- { certificate: CN=a, role: viewer, namespaces: [Shop] }
grant: []
`).map(line => line.replace(/;.*/, '')),
    [
      'operators.yaml:1:17: oidc.issuer: must be an https URL, such as https://login.example.com',
      'operators.yaml:3:3: grants[0]: must name exactly one of oidcUser, oidcGroup, certificate and certificateGroup',
      'operators.yaml:4:26: grants[1].role: "owner" is not allowed here: must be one of viewer, editor, admin',
      'operators.yaml:5:3: grants[2]: must name exactly one of oidcUser, oidcGroup, certificate and certificateGroup',
      'operators.yaml:6:51: grants[3].namespaces[0]: must be the name of a namespace',
      'operators.yaml:7:1: grant: unknown field (did you mean "grants"?)',
    ],
  )
})

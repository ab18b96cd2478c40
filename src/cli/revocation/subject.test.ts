import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fits, isSame, nameFor, type Subject } from './subject.ts'

const identities = (...all: readonly string[]): Subject => ({ identities: [...all] })
const by = (name: string): string => `spiffe://weft.local/ns/${name.split('.')[1]}/sa/${name.split('.')[0]}`

test('what reads alike and is somebody else has another name', async () => {
  const long = `spiffe://weft.local/${'a'.repeat(150)}`
  const serial = '4f2a90c14f2a90c1'
  const subjects: readonly Subject[] = [
    identities(by('web.default')),
    identities('spiffe://partner.example/ns/default/sa/web'),
    identities(by('b.c-a')),
    identities(by('a-b.c')),
    identities(by('a-b.c'), by('web.default')),
    identities(`${long}b`),
    identities(`${long}c`),
    { serials: [`${serial}01`] },
    { serials: [`${serial}02`] },
    { trustDomains: ['partner.example'] },
    identities('spiffe://weft.local/*'),
  ]
  const names = await Promise.all(subjects.map(nameFor))
  assert.equal(new Set(names).size, subjects.length, names.join(' '))
  assert.match(names[0]!, /^default-web-[0-9a-f]{10}$/)
  // RFC 1123, as names of resources are.
  for (const name of names) assert.match(name, /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/)
})

test('the same in another order and spelling is the same, and has the same name', async () => {
  const one: Subject = { identities: [by('a.x'), by('b.x')], serials: ['4f2a'] }
  const other: Subject = { serials: ['4F:2A'], identities: [by('b.x'), by('a.x')] }
  assert.ok(isSame(one, other))
  assert.ok(!isSame(one, identities(by('a.x'))))
  assert.ok(!isSame(undefined, one))
  assert.equal((await nameFor(identities(by('a.x')))).length, (await nameFor(identities(by('b.x')))).length)
})

test('a star at the end stands for anything, elsewhere for a part between slashes', () => {
  assert.ok(fits('spiffe://weft.local/ns/shop/*', by('web.shop')))
  assert.ok(fits('spiffe://weft.local/ns/*/sa/web', by('web.shop')))
  assert.ok(!fits('spiffe://weft.local/ns/*/web', by('web.shop')))
  assert.ok(!fits('spiffe://weft.local/ns/shop/sa/we', by('web.shop')))
})

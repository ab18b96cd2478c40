import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { defaultIdTemplate, idBy, idPattern, pathBy, whyNotIdTemplate, workloadAt, workloadIn } from './id-template.ts'

const letters = 'abcXYZ019._-'
const segment = fc
  .array(fc.constantFrom(...letters), { minLength: 1, maxLength: 8 })
  .map(each => each.join(''))
  .filter(text => text !== '.' && text !== '..')
const template = fc
  .tuple(fc.array(segment, { maxLength: 3 }), fc.array(segment, { maxLength: 3 }), fc.array(segment, { maxLength: 3 }), fc.boolean())
  .map(([before, between, after, isTurned]) => {
    const [one, other] = isTurned ? ['{serviceAccount}', '{namespace}'] : ['{namespace}', '{serviceAccount}']
    return `/${[...before, one, ...between, other, ...after].join('/')}`
  })
  .filter(text => whyNotIdTemplate(text) === undefined)
const name = fc.record({ namespace: segment, serviceAccount: segment }, { noNullPrototype: true })

test('what a template makes of a name is read back as that name and no other', () => {
  fc.assert(
    fc.property(template, name, name, (by, one, other) => {
      assert.deepEqual(workloadAt(by, pathBy(by, one)), one)
      assert.equal(pathBy(by, one) === pathBy(by, other), JSON.stringify(one) === JSON.stringify(other))
    }),
  )
})

test('a path that is read is what the template makes of its name', () => {
  const path = fc.array(segment, { maxLength: 6 }).map(each => `/${each.join('/')}`)
  fc.assert(
    fc.property(template, path, (by, from) => {
      const read = workloadAt(by, from)
      if (read !== undefined) assert.equal(pathBy(by, read), from)
    }),
  )
})

test('the pattern of a namespace has all of it, and nobody of another', () => {
  fc.assert(
    fc.property(template, name, name, (by, one, other) => {
      const pattern = new RegExp(`^(?:${idPattern(by, 'a.test', one.namespace)})$`, 'su')
      assert.ok(pattern.test(idBy(by, 'a.test', one)))
      assert.equal(pattern.test(idBy(by, 'a.test', other)), one.namespace === other.namespace)
      assert.ok(new RegExp(`^(?:${idPattern(by, 'a.test')})$`, 'su').test(idBy(by, 'a.test', other)))
      assert.ok(!pattern.test(idBy(by, 'aXtest', one)))
      assert.ok(!pattern.test(`${idBy(by, 'a.test', one)}/more`))
    }),
  )
})

test('templates that are ambiguous, or would make ids that are none, are refused with the reason', () => {
  const refused: Readonly<Record<string, RegExp>> = {
    '': /begin with a slash/,
    'ns/{namespace}/sa/{serviceAccount}': /begin with a slash/,
    '/{namespace}': /needs \{serviceAccount\} once, and has it not at all/,
    '/{serviceAccount}': /needs \{namespace\} once, and has it not at all/,
    '/{namespace}/{serviceAccount}/{namespace}': /needs \{namespace\} once, and has it 2 times/,
    '/{namespace}{serviceAccount}': /is not just one variable/,
    '/{namespace}-{serviceAccount}': /is not just one variable/,
    '/ns-{namespace}/{serviceAccount}': /is not just one variable/,
    '/{namespace}/{service}': /is not just one variable/,
    '/{namespace}/{serviceAccount}/': /ends in a slash/,
    '/{namespace}//{serviceAccount}': /empty segment/,
    '/./{namespace}/{serviceAccount}': /relative segment "\."/,
    '/{namespace}/../{serviceAccount}': /relative segment "\.\."/,
    '/{namespace}/a b/{serviceAccount}': /is not made of letters/,
    '/{namespace}/%41/{serviceAccount}': /is not made of letters/,
    '/ü/{namespace}/{serviceAccount}': /is not made of letters/,
    '/{namespace}/{serviceAccount}\n': /is not/,
    [`/{namespace}/{serviceAccount}/${'x'.repeat(1700)}`]: /could be \d+ bytes long, and may be 2048/,
    '/{namespace}/weft-system/sa/{serviceAccount}': /service account control in namespace ns would be .* the control plane/,
    '/ns/{serviceAccount}/sa/{namespace}': /which is the control plane/,
  }
  for (const [text, why] of Object.entries(refused)) assert.match(whyNotIdTemplate(text) ?? 'taken', why, text)
  for (const text of [
    defaultIdTemplate,
    '/{namespace}/{serviceAccount}',
    '/weft/{namespace}/workload/{serviceAccount}',
    '/{serviceAccount}/{namespace}/x',
  ])
    assert.equal(whyNotIdTemplate(text), undefined, text)
})

test('each trust domain is read by its own template, and who does not fit it is nobody', () => {
  const templates = { 'a.test': '/{namespace}/{serviceAccount}' }
  assert.deepEqual(workloadIn('spiffe://a.test/shop/web', templates), { namespace: 'shop', serviceAccount: 'web' })
  assert.equal(workloadIn('spiffe://a.test/ns/shop/sa/web', templates), undefined)
  assert.equal(workloadIn('spiffe://b.test/shop/web', templates), undefined)
  assert.deepEqual(workloadIn('spiffe://b.test/ns/shop/sa/web', templates), { namespace: 'shop', serviceAccount: 'web' })
  for (const id of ['', 'spiffe://a.test', 'https://a.test/shop/web', 'spiffe://constructor/shop/web'])
    assert.equal(workloadIn(id, templates), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathKind, pathLike } from './calls.ts'

test('a path is known by its first two segments, without what names one thing', () => {
  const kinds = [
    ['/', '/'],
    ['/orders', '/orders'],
    ['/orders/', '/orders/'],
    ['/orders/17', '/orders/*'],
    ['/orders/17/lines/3', '/orders/*'],
    ['/orders/open', '/orders/open'],
    ['/orders/open/today', '/orders/open/*'],
    ['/api/v1/carts', '/api/v1/*'],
    ['/api/v1/', '/api/v1/'],
    ['/7d4f1c9ab2e0', '/*'],
    ['/users/3b241101-e2bb-4255-8caf-4136c566a962', '/users/*'],
    ['/users/deadbeef', '/users/*'],
    ['/users/ann%40example.org', '/users/*'],
    [`/files/${'x'.repeat(40)}`, '/files/*'],
    ['/static/app.js', '/static/app.js'],
    ['*', '*'],
  ] as const
  for (const [path, kind] of kinds) assert.equal(pathKind(path), kind, path)
  assert.equal(pathKind('/shop.v1.Cart2/Get123', true), '/shop.v1.Cart2/Get123')
  assert.equal(pathKind(pathLike('/orders/*')), '/orders/any')
  assert.equal(pathLike('*'), '*', 'of OPTIONS for the whole server')
})

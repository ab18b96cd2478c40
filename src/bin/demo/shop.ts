/** The shop of examples/shop: its programs, how each is wrapped, and the edges on which traffic must be seen. */

export type DemoProgram = {
  readonly name: string
  readonly args: readonly string[]
  readonly script: string
  readonly env: Readonly<Record<string, string>>
}

const http = (name: string, extra: readonly string[] = []): DemoProgram => ({
  name,
  args: ['--name', name, '--port', 'http:8080/http', ...extra],
  script: `${name}.mjs`,
  env: {},
})
const reviews = (version: string): DemoProgram => ({
  ...http('reviews', ['--app-version', version]),
  name: `reviews-${version}`,
  env: { VERSION: version },
})

export const services: readonly DemoProgram[] = [
  http('catalog'),
  reviews('v1'),
  reviews('v2'),
  http('payments'),
  { name: 'kv', args: ['--name', 'kv', '--port', 'kv:6380/tcp'], script: 'kv.mjs', env: {} },
  { name: 'mail', args: ['--name', 'mail', '--port', 'smtp:2525/tcp'], script: 'mail.mjs', env: {} },
  http('cart'),
  http('orders'),
  http('storefront'),
]

export const load: DemoProgram = { name: 'shoppers', args: ['--name', 'shoppers'], script: 'shoppers.mjs', env: {} }

export const edges = [
  ['shoppers', 'storefront'],
  ['storefront', 'catalog'],
  ['storefront', 'reviews'],
  ['storefront', 'cart'],
  ['storefront', 'orders'],
  ['cart', 'kv'],
  ['orders', 'payments'],
  ['orders', 'mail'],
] as const

// What the shop sells.
import { serveJson } from './json-server.mjs'

const products = ['thread', 'loom', 'shuttle', 'heddle', 'bobbin']
serveJson({
  'GET /product': url => {
    const id = Number(url.searchParams.get('id') ?? 1)
    return { id, name: products[id % products.length], cents: 250 + 100 * (id % products.length) }
  },
  'GET /products': () => products.map((name, id) => ({ id, name })),
})

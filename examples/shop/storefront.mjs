// The shop's front: one page made of what four other services know.
import { callJson, serveJson } from './json-server.mjs'

serveJson({
  'GET /': async () => ({ shop: 'weft', try: ['/product?id=1', '/checkout?user=ada'] }),
  'GET /product': async url => {
    const id = url.searchParams.get('id') ?? '1'
    const [product, reviews] = await Promise.all([
      callJson(`http://catalog:8080/product?id=${id}`),
      callJson(`http://reviews:8080/reviews?id=${id}`),
    ])
    return { ...product, ...reviews }
  },
  'GET /checkout': async url => {
    const user = url.searchParams.get('user') ?? 'ada'
    await callJson('http://cart:8080/add', { user, item: 'thread' })
    const cart = await callJson(`http://cart:8080/cart?user=${user}`)
    return callJson('http://orders:8080/order', { user, items: cart.items })
  },
})

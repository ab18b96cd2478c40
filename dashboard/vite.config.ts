/** Builds dashboard/dist: relative assets, no network, the heavy parts loaded when a page first needs them. */

import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** WEFT_CONTROL: during `vite`, the control plane that answers the API. */
const control = process.env['WEFT_CONTROL'] ?? 'http://127.0.0.1:7070'

export default defineConfig({
  base: './',
  plugins: [react()],
  build: { target: 'es2023', assetsInlineLimit: 0, reportCompressedSize: true, chunkSizeWarningLimit: 2_000 },
  server: { proxy: { '/weft': control, '/api': control, '/apis': control, '/openapi': control, '/version': control } },
})

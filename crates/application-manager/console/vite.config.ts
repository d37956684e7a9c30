import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const platform = process.env['PLATFORM'] ?? 'http://127.0.0.1:80';

const proxy = { '/api': { target: platform, changeOrigin: false } };
const policy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  build: { target: 'es2022', sourcemap: false, assetsInlineLimit: 0 },
  // As the application manager serves it, so that what its policy forbids is noticed here.
  preview: { port: 5174, proxy, headers: { 'content-security-policy': policy } },
  server: { port: 5173, proxy },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'] },
});

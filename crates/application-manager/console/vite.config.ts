import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const platform = process.env['PLATFORM'] ?? 'http://127.0.0.1:80';

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  build: { target: 'es2022', sourcemap: false, assetsInlineLimit: 0 },
  server: { port: 5173, proxy: { '/api': { target: platform, changeOrigin: false } } },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'] },
});

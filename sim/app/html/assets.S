/* SPDX-License-Identifier: Apache-2.0 */
/* The files of this folder that are parts of every HTML report (sim/app/html.c). */
    .section .rodata

    .global html_page_css
html_page_css:
    .incbin "page.css"
    .byte 0

    .global html_page_js
html_page_js:
    .incbin "page.js"
    .byte 0

    .global html_plot_js
html_plot_js:
    .incbin "vendor/plot.min.js"
    .byte 0

    .section .note.GNU-stack, "", %progbits

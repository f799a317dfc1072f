//! mimalloc as the allocator of the program.
//!
//! The binding's own `GlobalAlloc` asks for an alignment each time. That takes a slower way through the library and a
//! larger block, although nearly all that Rust asks for is aligned without asking.
#![allow(unsafe_code, reason = "the trait is unsafe, and so are the functions of a C library")]

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

/// The allocator.
pub(crate) struct MiMalloc;

/// Whether every block of that size is aligned well enough: the library promises 16 bytes from a size of 16 on, and 8
/// below.
const fn is_natural(size: usize, align: usize) -> bool {
    align <= 8 || (align <= 16 && size >= 16)
}

// SAFETY: each function hands the request on to the function of mimalloc that is documented to do just that; blocks
// of all of them are freed with `mi_free`. `is_natural` is what mimalloc documents of its blocks.
unsafe impl GlobalAlloc for MiMalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: any size and any power of two will do.
        let block = unsafe { if is_natural(size, align) { mi_malloc(size) } else { mi_malloc_aligned(size, align) } };
        block.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: any size and any power of two will do.
        let block = unsafe { if is_natural(size, align) { mi_zalloc(size) } else { mi_zalloc_aligned(size, align) } };
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller promises that the block came from here and is given back once.
        unsafe { mi_free(block.cast::<c_void>()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (old, align) = (block.cast::<c_void>(), layout.align());
        // SAFETY: the caller promises that the block came from here; it is given up for the new one.
        let block = unsafe {
            if is_natural(size, align) { mi_realloc(old, size) } else { mi_realloc_aligned(old, size, align) }
        };
        block.cast()
    }
}

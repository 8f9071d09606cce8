# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2054,SC2154 # commas are QEMU's; the lab sets `lab` and opt_*
# The machine: QEMU's command line from lib/devices, the drives of a run, and which accelerator works here.

disk_bytes=$((256 << 20))

# make_drives RUN: sparse, new for every run.
make_drives() {
	local name
	for name in nvme0n1 nvme0n2 nvme1 multi0; do truncate -s "$disk_bytes" "$1/$name.raw"; done
}

# device_table: lib/devices, and a line for each server of --vfio-user, with its socket, and for each of --vhost-user.
device_table() {
	local index
	list "$lab/lib/devices"
	for index in "${!vfio_user[@]}"; do printf 'user%d %x.0/00.0 %s\n' "$index" $((0x19 + index)) "${vfio_user[index]}"; done
	for index in "${!vhost_user[@]}"; do
		printf 'vhost%d %x.0/00.0 virtio-net-pci,netdev=user-vhost%d,mac=52:54:00:00:00:5%d,disable-legacy=on,romfile=,%s\n' \
			"$index" $((0x19 + ${#vfio_user[@]} + index)) "$index" "$index" "${vhost_user[index]##* }"
	done
}

# device_place ID PATH: the bus that a device of the table is plugged into, and its slot and function there.
device_place() {
	local id=$1 path=$2 port=${2%%/*}
	case $path in
	*/*/*) printf 'bus=%s,addr=%s' bridge "${path##*/}" ;;
	*) printf 'bus=port%s,addr=%s' "${port%.*}" "${path##*/}" ;;
	esac
}

# vfio_user_device ID PATH SOCKET: QEMU takes a device whose options have a structure only as JSON.
vfio_user_device() {
	local place
	place=$(device_place "$1" "$2")
	place=\"${place//=/\":\"}\"
	printf '{"driver":"vfio-user-pci","id":"%s","socket":{"type":"unix","path":"%s"},%s}' "$1" "$3" "${place//,/\",\"}"
}

# device_args: fills the array `devices` with QEMU's arguments for the table and writes the guest's table to stdout:
# id, PCI path, and what device_add needs.
device_args() {
	local id path options port seen=' ' chassis=0
	devices=()
	while read -r id path options; do
		port=${path%%/*}
		if [[ $seen != *" $port "* ]]; then
			seen+="$port "
			chassis=$((chassis + 1))
			devices+=(-device "pcie-root-port,id=port${port%.*},bus=pcie.0,addr=$port,chassis=$chassis,slot=$chassis,io-reserve=0")
		fi
		case $options in
		/*) options=$(vfio_user_device "$id" "$path" "$options") ;;
		*) options+=,id=$id,$(device_place "$id" "$path") ;;
		esac
		devices+=(-device "$options")
		printf '%s %s %s\n' "$id" "$path" "$options"
	done < <(device_table)
}

# qemu_args RUN KERNEL-IMAGE ROOT-IMAGE: fills the array `qemu`; uses the options of the run (see ../lab).
qemu_args() {
	local run=$1 kernel=$2 root=$3 name hub accel=$opt_accel
	[[ -e $kernel/vmlinux ]] && kernel_file=$kernel/vmlinux || kernel_file=$kernel/vmlinuz
	qemu=("${qemu_program[@]}" -name "quoll-lab" -pidfile "$run/qemu.pid" -nodefaults -no-user-config -display none -no-reboot
		-m "$opt_memory" -smp "$opt_cpus"
		-kernel "$kernel_file" -initrd "$run/initrd" -append "$(kernel_line)"
		-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off)
	# TCG: QEMU 9 and newer offer x2APIC, which their emulated IOMMU can then not remap, and CPU 0 is left without a timer;
	# five-level page tables only cost time
	case $accel in
	kvm) qemu+=(-machine q35,kernel-irqchip=split -accel kvm -cpu host) ;;
	icount) qemu+=(-machine q35 -accel tcg -cpu max,la57=off,-x2apic -icount shift=0 -rtc base=2026-01-01,clock=vm) ;;
	*) qemu+=(-machine q35 -accel tcg,thread=multi -cpu max,la57=off,-x2apic) ;;
	esac
	# servers of --vfio-user and --vhost-user map the guest's memory
	((!${#vfio_user[@]} && !${#vhost_user[@]})) || qemu+=(-object "memory-backend-memfd,id=memory,size=${opt_memory}M,share=on"
		-machine memory-backend=memory)
	((opt_no_iommu)) || qemu+=(-device "intel-iommu,intremap=on,caching-mode=on${opt_iommu:+,$opt_iommu}")
	for name in root modules; do
		hub=$root/root.sqfs
		[[ $name == root ]] || hub=$kernel/modules.sqfs
		qemu+=(-blockdev "driver=file,filename=$hub,node-name=image-$name,read-only=on"
			-device "virtio-blk-pci,bus=pcie.0,drive=image-$name,disable-legacy=on,serial=$name")
	done
	qemu+=(-chardev "file,id=console,path=$run/console.log" -serial chardev:console
		-chardev "file,id=status,path=$run/status"
		-chardev "socket,id=monitor,path=$run/monitor,server=on,wait=off" -mon chardev=monitor,mode=control
		-chardev "socket,id=monitor-guest,path=$run/monitor"
		-device virtio-serial-pci,bus=pcie.0,disable-legacy=on
		-device virtserialport,chardev=status,name=lab.status
		-device virtserialport,chardev=monitor-guest,name=lab.monitor
		-device virtio-rng-pci,bus=pcie.0,disable-legacy=on
		-fsdev "local,id=quoll,path=$source_tree,security_model=none,readonly=on,multidevs=remap"
		-device virtio-9p-pci,bus=pcie.0,fsdev=quoll,mount_tag=quoll,disable-legacy=on
		-fsdev "local,id=out,path=$opt_out,security_model=none"
		-device virtio-9p-pci,bus=pcie.0,fsdev=out,mount_tag=out,disable-legacy=on)
	[[ -z $opt_host ]] || qemu+=(-chardev "pipe,id=host,path=$run/host"
		-device virtserialport,chardev=host,name=lab.host)
	for name in nvme0n1 nvme0n2 nvme1 multi0; do
		qemu+=(-blockdev "driver=file,filename=$run/$name.raw,node-name=disk-$name,discard=unmap")
	done
	for name in net0:1 net2:1 net1:2 net3:2 old0:3 old1:3 multi1:4 virtio1:4 virtio2:3; do
		qemu+=(-netdev "hubport,id=hub-${name%:*},hubid=${name#*:}")
	done
	# A virtio NIC stops sending while nobody on its hub can receive, as when all others are down (icount-fwd): a port of the
	# hub's with nothing behind it always can. With one, others may lose frames.
	((!opt_icount)) || qemu+=(-netdev hubport,id=hub-sink3,hubid=3 -netdev hubport,id=hub-sink4,hubid=4)
	for name in "${!vhost_user[@]}"; do
		qemu+=(-chardev "socket,id=back-vhost$name,path=${vhost_user[name]% *},reconnect-ms=1000"
			-netdev "vhost-user,id=user-vhost$name,chardev=back-vhost$name,queues=2")
	done
	qemu+=(-netdev user,id=user-virtio0,restrict=on -device nvme-subsys,id=subsys0,nqn=quoll-nvme0)
	qemu+=("${devices[@]}"
		-device nvme-ns,bus=nvme0,drive=disk-nvme0n1,nsid=1,logical_block_size=512,physical_block_size=512
		-device nvme-ns,bus=nvme0,drive=disk-nvme0n2,nsid=2,logical_block_size=4096,physical_block_size=4096)
	qemu+=(-D "${opt_trace:-$opt_out/trace}") # QEMU makes it when it has something to write
	[[ -z $opt_trace ]] || qemu+=(-trace 'pci_nvme_mmio_read' -trace 'pci_nvme_mmio_write'
		-trace 'e1000e_core_read' -trace 'e1000e_core_write')
}

kernel_line() {
	printf '%s ' console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable random.trust_cpu=on mitigations=off \
		hugepagesz=2M hugepages="$opt_hugepages" net.ifnames=0 cryptomgr.notests
	((opt_no_iommu)) || printf '%s ' intel_iommu=on iommu=nopt iommu.passthrough=0
	printf '%s' "$opt_append"
}

# choose_accel KERNEL-IMAGE: kvm where a probe boot works (a /dev/kvm that hangs exists), else tcg. The answer is kept
# until the host boots again.
choose_accel() {
	local kernel=$1 boot kept
	case ${QUOLL_LAB_ACCEL-} in
	kvm | tcg) printf '%s\n' "$QUOLL_LAB_ACCEL"; return ;;
	'') ;;
	*) fail QUOLL_LAB_ACCEL "'$QUOLL_LAB_ACCEL' is neither kvm nor tcg" 'unset QUOLL_LAB_ACCEL' ;;
	esac
	if [[ ! -w /dev/kvm ]]; then
		echo tcg
		return
	fi
	boot=$(cat /proc/sys/kernel/random/boot_id)
	kept=$(cache_dir)/accel
	if [[ $(cut -d' ' -f1 "$kept" 2>/dev/null) != "$boot" ]]; then
		say 'trying KVM (at most 10 s; the answer is kept until this machine boots again)'
		printf '%s %s\n' "$boot" "$(probe_kvm "$kernel")" >"$kept.$$"
		mv "$kept.$$" "$kept"
	fi
	cut -d' ' -f2 "$kept"
}

probe_kvm() {
	local kernel=$1 run answer=tcg
	run=$(mktemp -d)
	timeout -k 1 10 qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -m 512 \
		-machine q35,kernel-irqchip=split -accel kvm -cpu host -device intel-iommu,intremap=on,caching-mode=on \
		-kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" -append 'console=ttyS0 quiet panic=-1 lab.probe' \
		-serial "file:$run/console" >/dev/null 2>&1 || true
	! grep -q 'lab: probe' "$run/console" 2>/dev/null || answer=kvm
	rm -rf "$run"
	echo "$answer"
}
